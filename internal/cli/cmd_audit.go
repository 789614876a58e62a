package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sort"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type auditCmd struct {
	Tail   auditTailCmd   `cmd:"" help:"Print the newest records; -f goes on."`
	Verify auditVerifyCmd `cmd:"" help:"Prove that no record was changed or taken out."`
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

type auditVerifyCmd struct{}

func (c *auditVerifyCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var rep admin.AuditReport
	if err := cl.Get(e.ctx, "/audit/verify", nil, &rep); err != nil {
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
	e.printf("The audit log is whole: %s, %d to %d, of node %s.\n", count(rep.Records, "record"), rep.First, rep.Last, plain(rep.Node))
	e.printf("Head: %d %s\nKeep the head elsewhere: with it one can tell later whether the end was cut off.\n", rep.Last, rep.Head)
	return nil
}
