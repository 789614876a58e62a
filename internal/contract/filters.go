package contract

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/core"
)

// filter changes a value on its way out: `$expires_in|milliseconds`.
type filter struct {
	name  string
	from  []valueType // what it applies to
	to    valueType   // what comes out; tNull = the same type
	arg   string      // "" = takes none; else what the argument is, for messages
	about string      // one line for the manual
	make  func(arg string) (func(value) value, error)
}

func plain(f func(value) value) func(string) (func(value) value, error) {
	return func(string) (func(value) value, error) { return f, nil }
}

func layout(l string) func(value) value {
	return func(v value) value { return text(utc(v.n).Format(l)) }
}

var allFilters = []filter{
	{"seconds", []valueType{tDuration}, tInt, "", "a duration in seconds (the default)", plain(func(v value) value { return number(floorSeconds(v.n)) })},
	{"milliseconds", []valueType{tDuration}, tInt, "", "a duration in milliseconds", plain(func(v value) value { return number(v.n) })},
	{"minutes", []valueType{tDuration}, tInt, "", "a duration in whole minutes", plain(func(v value) value { return number(floorSeconds(v.n) / 60) })},
	{"unix", []valueType{tTime}, tInt, "", "a time as seconds since 1970 (the default)", plain(func(v value) value { return number(floorSeconds(v.n)) })},
	{"unix_ms", []valueType{tTime}, tInt, "", "a time as milliseconds since 1970", plain(func(v value) value { return number(v.n) })},
	{"rfc3339", []valueType{tTime}, tText, "", "a time as 2006-01-02T15:04:05Z", plain(layout("2006-01-02T15:04:05Z"))},
	{"rfc3339_ms", []valueType{tTime}, tText, "", "a time as 2006-01-02T15:04:05.000Z", plain(layout("2006-01-02T15:04:05.000Z"))},
	{"http_date", []valueType{tTime}, tText, "", "a time as Mon, 02 Jan 2006 15:04:05 GMT", plain(layout(http.TimeFormat))},
	{"layout", []valueType{tTime}, tText, "a layout such as 2006-01-02 15:04:05", "a time (UTC) in the layout given, which shows how 2 January 2006, 15:04:05, is written", timeLayout},
	{"string", nil, tText, "", "a number, true or false as text", plain(func(v value) value {
		if v.t == tNull {
			return v
		}
		return text(v.text())
	})},
	{"upper", []valueType{tText}, tText, "", "text in upper case", onText(strings.ToUpper)},
	{"lower", []valueType{tText}, tText, "", "text in lower case", onText(strings.ToLower)},
	{"join", []valueType{tList}, tText, "what stands between, such as ,", "a list as one text", func(sep string) (func(value) value, error) {
		return func(v value) value { return text(strings.Join(v.list, sep)) }, nil
	}},
	{"first", []valueType{tList}, tText, "", "the first of a list, null when it is empty", plain(func(v value) value {
		if len(v.list) == 0 {
			return value{}
		}
		return text(v.list[0])
	})},
	{"has", []valueType{tList}, tBool, "the member to look for, such as admin", "whether a list has the member", func(want string) (func(value) value, error) {
		return func(v value) value { return boolean(slices.Contains(v.list, want)) }, nil
	}},
	{"contains", []valueType{tText}, tBool, "the text to look for, such as tokenCreate", "whether a text has another in it", func(want string) (func(value) value, error) {
		return func(v value) value { return boolean(strings.Contains(v.s, want)) }, nil
	}},
	{"default", nil, tNull, "the text used instead", "the text given when the value is null or empty", func(d string) (func(value) value, error) {
		return func(v value) value {
			if v.t == tNull || v.t == tText && v.s == "" || v.t == tJSON && string(v.raw) == "null" {
				return text(d)
			}
			return v
		}, nil
	}},
	{"fields", []valueType{tViolations}, tJSON, "", `violations as {"field":["message",…]}`, plain(func(v value) value { return byField(v.viol, true) })},
	{"field_messages", []valueType{tViolations}, tJSON, "", `violations as {"field":"message"}, the first of each field`, plain(func(v value) value { return byField(v.viol, false) })},
	{"messages", []valueType{tViolations}, tList, "", `violations as ["message",…]`, plain(func(v value) value {
		out := make([]string, len(v.viol))
		for i := range v.viol {
			out[i] = v.viol[i].Message
		}
		return list(out)
	})},
}

func onText(f func(string) string) func(string) (func(value) value, error) {
	return plain(func(v value) value {
		if v.t != tText {
			return v
		}
		return text(f(v.s))
	})
}

func timeLayout(l string) (func(value) value, error) {
	a, b := time.Date(2001, 3, 4, 5, 6, 7, 0, time.UTC), time.Date(2022, 11, 23, 22, 45, 38, 0, time.UTC)
	if a.Format(l) == b.Format(l) {
		return nil, errors.New("the layout says nothing of the time; write how 2006-01-02 15:04:05 should look")
	}
	return layout(l), nil
}

func byField(vs []core.Violation, lists bool) value {
	type group struct {
		field string
		msgs  []string
	}
	var groups []group
	for i := range vs {
		f := fieldOf(&vs[i])
		at := slices.IndexFunc(groups, func(g group) bool { return g.field == f })
		if at < 0 {
			groups, at = append(groups, group{field: f}), len(groups)
		}
		groups[at].msgs = append(groups[at].msgs, vs[i].Message)
	}
	raw := []byte{'{'}
	for i, g := range groups {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = append(appendString(raw, g.field), ':')
		if lists {
			raw = list(g.msgs).appendJSON(raw)
		} else {
			raw = appendString(raw, g.msgs[0])
		}
	}
	return value{t: tJSON, raw: append(raw, '}')}
}

func findFilter(name string) *filter {
	for i := range allFilters {
		if allFilters[i].name == name {
			return &allFilters[i]
		}
	}
	return nil
}

func filterNames() []string {
	names := make([]string, len(allFilters))
	for i := range allFilters {
		names[i] = allFilters[i].name
	}
	return names
}

// applies says whether the filter takes a value of type t. Raw JSON has no
// type before it is there, so only filters that take anything accept it.
func (f *filter) applies(t valueType) bool {
	return f.from == nil || slices.Contains(f.from, t)
}
