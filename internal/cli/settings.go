package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/sallyport/sallyport/internal/config"
)

const settingGroup = "settings"

// shownSettings are the flags that `serve --help` lists. Every other setting
// is a flag as well; a page of sixty helps nobody.
var shownSettings = map[string]bool{
	"listen": true, "private_listen": true, "upstream": true, "issuer": true, "master_key_file": true,
	"tls.cert": true, "tls.key": true, "trusted_proxies": true, "contracts.files": true,
	"dev": true, "dev_off_loopback": true, "log.format": true,
}

// settingPlugins makes a flag of each row of the configuration's table, so
// that no setting can be without one. data has its place among the global
// flags. Values are handed on as text; the configuration judges them, with
// the words it also has for its file.
func settingPlugins() kong.Plugins {
	var fields []reflect.StructField
	for i, k := range config.Keys() {
		if k.Flag() == "" || k.Name == "data" {
			continue
		}
		typ, tag := reflect.TypeFor[[]string](), fmt.Sprintf(`sep:"none" placeholder:%q`, placeholder(k.Kind))
		if k.Kind == config.KindBool {
			typ, tag = reflect.TypeFor[*bool](), `negatable:"" `
		}
		hidden := ""
		if !shownSettings[k.Name] {
			hidden = ` hidden:""`
		}
		fields = append(fields, reflect.StructField{
			Name: fmt.Sprintf("Setting%d", i), Type: typ,
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q group:%q help:%q setting:%q %s%s`, k.Flag(), settingGroup, settingHelp(k), k.Name, tag, hidden)),
		})
	}
	return kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}
}

// settingHelp is the first sentence of the setting's documentation.
func settingHelp(k config.Key) string {
	text, _, _ := strings.Cut(k.Doc, ". ")
	text = strings.TrimSuffix(text, ".") + "."
	if k.Default != "" && k.Kind != config.KindBool {
		text += " (" + k.Default + ")"
	}
	return strings.NewReplacer("${", "$ {").Replace(text)
}

func placeholder(k config.Kind) string {
	switch k {
	case config.KindPath:
		return "FILE"
	case config.KindURL:
		return "URL"
	case config.KindInt:
		return "N"
	case config.KindDuration:
		return "TIME"
	case config.KindList:
		return "A,B"
	case config.KindRules, config.KindMounts:
		return "YAML"
	}
	return "TEXT"
}

// givenSettings gathers the settings that stood on the command line.
func givenSettings(kctx *kong.Context) (config.Flags, error) {
	flags := config.Flags{}
	for _, p := range kctx.Path {
		if p.Flag == nil || !p.Flag.Tag.Has("setting") {
			continue
		}
		name := p.Flag.Tag.Get("setting")
		switch v := kctx.Value(p).Interface().(type) {
		case []string:
			flags[name] = v
		case *bool:
			if v != nil {
				flags[name] = []string{fmt.Sprint(*v)}
			}
		default:
			return nil, fmt.Errorf("the flag --%s has a value of type %T", p.Flag.Name, v)
		}
	}
	return flags, nil
}
