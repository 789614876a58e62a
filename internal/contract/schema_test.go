package contract

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/contracts"
)

// fileSchema is the JSON Schema of the format, made of the tables the parser
// works with, so that an editor offers exactly what is read.
func fileSchema() map[string]any {
	type obj = map[string]any
	ref := func(name string) obj { return obj{"$ref": "#/$defs/" + name} }
	str := obj{"type": []string{"string", "number", "boolean"}}
	closed := func(keys []string, known obj) obj {
		props := obj{}
		for _, k := range keys {
			props[k] = known[k]
			if known[k] == nil {
				props[k] = obj{}
			}
		}
		return obj{"type": "object", "properties": props, "additionalProperties": false}
	}
	enum := func(vals ...string) obj { return obj{"enum": vals} }
	dur := obj{"type": "string", "pattern": `^([0-9]+(h|m|s|d))+$`}
	mapOf := func(v obj) obj { return obj{"type": "object", "additionalProperties": v} }
	boolean := obj{"type": "boolean"}
	listOrOne := obj{"anyOf": []any{str, obj{"type": "array", "items": str}}}
	headers := mapOf(obj{"anyOf": []any{str, obj{"type": "object"}}})

	tok := obj{
		"lifetime": dur, "alg": enum("HS256", "ES256", "EdDSA", "RS256"), "claims": mapOf(obj{}), "audience": str, "issuer": str, "kind": str, "nbf": boolean,
		"header":   closed([]string{"typ", "kid", "order"}, obj{"typ": obj{"type": "string"}, "kid": boolean, "order": obj{"type": "array"}}),
		"rotation": obj{"anyOf": []any{enum("never"), closed([]string{"grace", "idle", "absolute"}, obj{"grace": dur, "idle": dur, "absolute": dur})}},
	}
	errorProps := closed(codeNames(), obj{})
	for _, c := range codeNames() {
		errorProps["properties"].(obj)[c] = ref("error")
	}
	wording := obj{"anyOf": []any{obj{"type": "string"}, closed([]string{"message", "type"}, obj{"message": str, "type": str})}}
	words := obj{}
	for _, k := range problemKinds() {
		words[k] = wording
	}
	root := closed(fileKeys, obj{
		"format": obj{"const": Format}, "contract": obj{"type": "string", "pattern": namePattern.String()}, "title": str, "description": str,
		"tokens": closed([]string{"kind_claim", "access", "refresh", "id", "application", "request", "session"}, obj{
			"kind_claim": str, "access": ref("token"), "refresh": ref("refresh"), "id": ref("token"), "application": ref("token"),
			"request": closed([]string{"window"}, obj{"window": dur}), "session": closed([]string{"idle", "absolute"}, obj{"idle": dur, "absolute": dur}),
		}),
		"inputs": mapOf(ref("input")), "violations": closed(problemKinds(), words),
		"routes": obj{"type": "array", "minItems": 1, "maxItems": 200, "items": ref("route")},
		"error":  closed([]string{"headers", "content_type", "body"}, obj{"headers": headers, "content_type": str}),
		"errors": ref("errors"), "gateway": closed([]string{"token", "errors", "challenge", "secret_in_url"}, obj{"errors": ref("errors"), "challenge": boolean, "secret_in_url": boolean}),
		"cors": closed([]string{"origins", "credentials", "headers", "expose", "max_age"}, obj{"origins": listOrOne, "credentials": boolean, "headers": listOrOne, "expose": listOrOne, "max_age": dur}),
		"head": boolean, "options": boolean,
	})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Sallyport contract file"
	root["required"] = []string{"format", "contract", "routes", "errors"}
	places := obj{}
	for _, k := range acceptKeys {
		places[k] = mapOf(obj{})
	}
	places["bearer"], places["unknown_fields"], places["multipart"] = obj{"type": "string"}, enum("ignore", "refuse"), boolean
	places["json_types"] = listOrOne
	root["$defs"] = obj{
		"token": closed(tokenKeys, tok), "refresh": closed(append(slices.Clone(tokenKeys), "rotation"), tok),
		"own_token": closed(variantTokenKeys, tok),
		"input": closed(inputKeys, obj{
			"type": enum(inputTypes...), "optional": boolean, "default": str, "enum": listOrOne, "max": obj{"type": "integer", "minimum": 1, "maximum": maxToken},
			"earliest": str, "latest": str, "earlier": enum("refuse", "clamp"), "later": enum("refuse", "clamp"), "missing": enum("token_missing", "field_missing"),
		}),
		"route": func() obj {
			r := closed(routeKeys, obj{
				"route": listOrOne, "grant": enum(grantNames()...), "summary": str, "accept": closed(acceptKeys, places), "inputs": mapOf(ref("input")),
				"headers": headers, "answer": obj{"anyOf": []any{ref("answer"), obj{"type": "array", "items": ref("answer")}}}, "errors": ref("errors"),
				"kinds": listOrOne, "sessions": enum("this", "others", "all"), "max_age": str, "lenient": boolean, "secret_in_url": boolean,
				"tokens": closed(variantKeys, obj{
					"name": obj{"type": "string", "pattern": namePattern.String()}, "access": ref("own_token"), "id": ref("own_token"),
					"refresh": closed(variantRefreshKeys, obj{"lifetime": dur, "rotation": tok["rotation"]}),
					"session": closed([]string{"idle", "absolute"}, obj{"idle": dur, "absolute": dur}),
				}),
			})
			r["required"] = []string{"route", "grant", "answer"}
			return r
		}(),
		"answer": closed(answerKeys, obj{"status": obj{"type": "integer", "minimum": 200, "maximum": 303}, "headers": headers, "cookies": mapOf(ref("cookie")), "content_type": str}),
		"cookie": closed(cookieKeys, obj{
			"value": str, "path": str, "domain": str, "http_only": boolean, "secure": obj{"enum": []any{"auto", "always", "never", true, false}},
			"same_site": enum("strict", "lax", "none"), "max_age": str, "delete": boolean,
		}),
		"errors": errorProps,
		"error":  closed(errorKeys, obj{"status": obj{"type": "integer"}, "headers": headers, "message": str, "content_type": str}),
	}
	return root
}

func TestSchemaFile(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(fileSchema()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("../../contracts/schema.json", buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(contracts.Schema, buf.Bytes()) {
		t.Error("contracts/schema.json does not follow the format; run: go test ./internal/contract -run TestSchemaFile -update")
	}
}

func TestContractsMatchSchema(t *testing.T) {
	schema := compileSchema(t, "mem:format", readJSON(t, contracts.Schema))
	sources := map[string][]byte{"good": []byte(good)}
	for _, name := range slices.Concat(contracts.Names(), contracts.Examples()) {
		_, data, err := contracts.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = data
	}
	for _, file := range testContracts(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources[file] = data
	}
	check := func(data []byte) error {
		rep := &report{}
		root := readYAML(data, rep)
		if rep.err() != nil {
			t.Fatal(rep.err())
		}
		raw, err := json.Marshal(plainValue(root))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(readJSON(t, raw))
	}
	for name, data := range sources {
		if err := check(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if check(bytes.Replace([]byte(good), []byte("grant: password"), []byte("grant: pasword"), 1)) == nil {
		t.Error("the schema accepts an unknown grant")
	}
}
