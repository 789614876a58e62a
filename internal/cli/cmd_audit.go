package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
	"github.com/sallyport/sallyport/internal/core"
)

type auditCmd struct {
	Tail   auditTailCmd   `cmd:"" help:"Print the newest records; -f goes on."`
	Verify auditVerifyCmd `cmd:"" help:"Prove that no record was changed or taken out."`
	Export auditExportCmd `cmd:"" help:"Write the whole log to standard output, a JSON object a line."`
}

type auditTailCmd struct {
	Lines   int    `short:"n" default:"20" placeholder:"N" help:"How many, 1 to 500. (20)"`
	Follow  bool   `short:"f" help:"Go on as records come, until interrupted. With --json a record is a line."`
	Kind    string `placeholder:"KIND" help:"Only this kind, such as login or user.disable."`
	Subject string `placeholder:"ID" help:"Only about this user, key or token."`
}

// followEvery is how often a followed log is asked for more.
const followEvery = time.Second

func (c *auditTailCmd) Run(e *env) error {
	if c.Lines < 1 || c.Lines > 500 {
		return usagef("-n is a number from 1 to 500")
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	q := values("kind", c.Kind, "subject", c.Subject)
	q.Set("newest", "true")
	q.Set("limit", fmt.Sprint(c.Lines))
	var page admin.Page[admin.AuditRecord]
	if err := cl.Get(e.ctx, "/audit", q, &page); err != nil {
		return err
	}
	if c.Follow {
		return e.follow(cl, q, page)
	}
	if e.json {
		return e.printJSON(page.Items)
	}
	if len(page.Items) == 0 {
		e.note("There are no such records.")
	}
	for i := range page.Items {
		e.auditLine(&page.Items[i])
	}
	return nil
}

// follow prints what there is and asks for more until the command is
// interrupted, which is how it ends well.
func (e *env) follow(cl *admin.Client, q url.Values, page admin.Page[admin.AuditRecord]) error {
	q.Del("newest")
	q.Set("limit", "500")
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for i := range page.Items {
			if !e.json {
				e.auditLine(&page.Items[i])
				continue
			}
			b, err := json.Marshal(page.Items[i])
			if err != nil {
				return err
			}
			e.print(string(b) + "\n")
		}
		if len(page.Items) < 500 {
			select {
			case <-e.ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		if page.Next != "" {
			q.Set("cursor", page.Next)
		}
		page = admin.Page[admin.AuditRecord]{}
		if err := cl.Get(e.ctx, "/audit", q, &page); err != nil {
			if e.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (e *env) auditLine(r *admin.AuditRecord) {
	var b strings.Builder
	fmt.Fprintf(&b, "%6d  %s  %-20s", r.Sequence, time.UnixMilli(int64(r.At)).UTC().Format("2006-01-02 15:04:05"), plain(r.Kind))
	for _, m := range [][2]string{
		{"by", r.Actor}, {"subject", r.Subject}, {"session", r.Session}, {"mount", r.Mount}, {"from", r.Address},
	} {
		if m[1] != "" {
			fmt.Fprintf(&b, "  %s=%s", m[0], plain(m[1]))
		}
	}
	names := make([]string, 0, len(r.Detail))
	for name := range r.Detail {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "  %s=%s", plain(name), plain(quoteSpaces(r.Detail[name])))
	}
	e.print(b.String() + "\n")
}

func quoteSpaces(s string) string {
	if s == "" || strings.ContainsAny(s, " =\"") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

type auditVerifyCmd struct {
	Anchor []string `placeholder:"NODE:NUMBER:HASH" help:"A record as an earlier verify printed it, which must still be there. May be repeated."`
	File   string   `placeholder:"FILE" help:"Prove an exported file instead of the server's log; - is standard input."`
}

func (c *auditVerifyCmd) Run(e *env) error {
	rep, err := c.report(e)
	if err != nil {
		return err
	}
	if e.json {
		if err := e.printJSON(rep); err != nil {
			return err
		}
	}
	if !rep.OK {
		return &refused{msg: "the audit log is not whole: " + rep.Detail + ". Compare it with a backup", printed: e.json}
	}
	if e.json {
		return nil
	}
	if rep.Records == 0 {
		e.print("The audit log is empty.\n")
		return nil
	}
	for _, chain := range rep.Chains {
		e.printf("The audit log is whole: %s, %d to %d, of node %s.\nAnchor: %s\n", count(chain.Records, "record"), chain.First, chain.Last, plain(chain.Node), plain(chain.Anchor))
	}
	e.print("Keep the anchor elsewhere: `audit verify --anchor` tells with it whether the end was cut off.\n")
	return nil
}

func (c *auditVerifyCmd) report(e *env) (rep admin.AuditReport, err error) {
	if c.File != "" {
		return c.fileReport(e)
	}
	cl, err := e.connect()
	if err != nil {
		return rep, err
	}
	return rep, cl.Get(e.ctx, "/audit/verify", values("anchors", strings.Join(c.Anchor, ",")), &rep)
}

// fileReport proves what `audit export` or shipping wrote. Such a file may begin
// anywhere and may hold a record twice.
func (c *auditVerifyCmd) fileReport(e *env) (rep admin.AuditReport, err error) {
	var anchors []core.AuditAnchor
	for _, text := range c.Anchor {
		a, err := core.ParseAuditAnchor(text)
		if err != nil {
			return rep, usagef("%s", err)
		}
		anchors = append(anchors, a)
	}
	in := e.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return rep, err
		}
		defer f.Close()
		in = f
	}
	v := core.NewAuditVerifier(anchors)
	last := map[string]admin.AuditRecord{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r admin.AuditRecord
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return admin.AuditReportOf(v, fmt.Errorf("line %d is no audit record: %w", n, err)), nil
		}
		if was, ok := last[r.Node]; ok && was.Sequence == r.Sequence && was.Hash == r.Hash {
			continue // sent twice
		}
		rec, err := r.Core()
		if err == nil {
			err = v.Add(&rec)
		}
		if err != nil {
			return admin.AuditReportOf(v, err), nil
		}
		last[r.Node] = r
	}
	if err := lines.Err(); err != nil {
		return rep, fmt.Errorf("reading %s: %w", c.File, err)
	}
	return admin.AuditReportOf(v, v.CloseAnchors()), nil
}

type auditExportCmd struct {
	Node    string `placeholder:"NODE" help:"Only the chain of this node."`
	Kind    string `placeholder:"KIND" help:"Only this kind; the file cannot be proved whole then."`
	Subject string `placeholder:"ID" help:"Only about this user, key or token; likewise."`
}

// Run writes the log as it is now, a JSON object a line.
func (c *auditExportCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	q := values("node", c.Node, "kind", c.Kind, "subject", c.Subject)
	q.Set("limit", "500")
	for {
		var page admin.Page[admin.AuditRecord]
		if err := cl.Get(e.ctx, "/audit", q, &page); err != nil {
			return err
		}
		for i := range page.Items {
			b, err := json.Marshal(page.Items[i])
			if err != nil {
				return err
			}
			e.print(string(b) + "\n")
		}
		if len(page.Items) < 500 {
			return nil
		}
		q.Set("cursor", page.Next)
	}
}
