package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const schemaFile = "status.schema.json"

// validate compares v, as JSON, with the schema.
func validate(t *testing.T, v any) error {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// full is a Status with each field set to something else than its zero, all that a
// reflect.Value can be filled with.
func full(t *testing.T) *Status {
	t.Helper()
	var s Status
	fill(t, reflect.ValueOf(&s).Elem())
	s.Schema = SchemaVersion
	for i := range s.Tunnels {
		s.Tunnels[i].State = Up
	}
	return &s
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 12, 0, 0, 5, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if jsonName(v.Type().Field(i)) != "" {
				fill(t, v.Field(i))
			}
		}
	default:
		t.Fatalf("a %v in Status: this test cannot fill it", v.Type())
	}
}

func TestSchemaTakes(t *testing.T) {
	for name, s := range map[string]*Status{
		"all fields":           full(t),
		"no tunnels":           {Schema: SchemaVersion},
		"an empty tunnel":      {Schema: SchemaVersion, Tunnels: []Tunnel{{State: Down}}},
		"an empty session":     {Schema: SchemaVersion, Tunnels: []Tunnel{{State: Up, Sessions: []Session{{}}}}},
		"an unsized transfer":  {Schema: SchemaVersion, Tunnels: []Tunnel{{State: Up, Sessions: []Session{{Transfers: []Transfer{{}}}}}}},
		"an error, no advice":  {Schema: SchemaVersion, Tunnels: []Tunnel{{State: Failed, Error: &Error{}}}},
		"a state by each name": {Schema: SchemaVersion, Tunnels: states()},
	} {
		t.Run(name, func(t *testing.T) {
			if err := validate(t, s); err != nil {
				t.Error(err)
			}
		})
	}
}

func states() (tunnels []Tunnel) {
	for _, s := range []State{Down, Connecting, Up, Reconnecting, NeedsLogin, Failed, Stopping} {
		tunnels = append(tunnels, Tunnel{State: s})
	}
	return tunnels
}

// TestSchemaRefuses has values that are no Status, so that the schema is known to bite.
func TestSchemaRefuses(t *testing.T) {
	spoil := map[string]func(status, tunnel map[string]any){
		"another version":   func(s, _ map[string]any) { s["schema"] = SchemaVersion + 1 },
		"no pid":            func(s, _ map[string]any) { delete(s, "pid") },
		"a null list":       func(s, _ map[string]any) { s["tunnels"] = nil },
		"an unknown state":  func(_, t map[string]any) { t["state"] = "sideways" },
		"a time of no form": func(_, t map[string]any) { t["since"] = "yesterday" },
		"a nameless tunnel": func(_, t map[string]any) { delete(t, "name") },
	}
	for name, f := range spoil {
		t.Run(name, func(t *testing.T) {
			s := object(t, full(t))
			f(s, s["tunnels"].([]any)[0].(map[string]any))
			if err := validate(t, s); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

func TestSchemaTakesNewFields(t *testing.T) {
	s := object(t, full(t))
	s["weather"] = "fine"
	s["tunnels"].([]any)[0].(map[string]any)["weather"] = "rain"
	if err := validate(t, s); err != nil {
		t.Error(err)
	}
}

// object is v as JSON has it.
func object(t *testing.T, v any) (o map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestSchemaTellsAll compares the schema with the types, field by field: each is
// described, with its JSON type, and required unless it may be left out.
func TestSchemaTellsAll(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Required   []string
			Properties map[string]struct {
				Type, Description string
				Ref               string `json:"$ref"`
			}
		} `json:"$defs"`
	}
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	types := map[string]reflect.Type{
		"status": reflect.TypeFor[Status](), "tunnel": reflect.TypeFor[Tunnel](), "listen": reflect.TypeFor[Listen](),
		"totals": reflect.TypeFor[Totals](), "session": reflect.TypeFor[Session](), "transfer": reflect.TypeFor[Transfer](),
		"error": reflect.TypeFor[Error](),
	}
	for name, typ := range types {
		def := schema.Defs[name]
		var fields, required []string
		for i := range typ.NumField() {
			field := jsonName(typ.Field(i))
			if field == "" {
				continue
			}
			fields = append(fields, field)
			if !strings.Contains(typ.Field(i).Tag.Get("json"), ",") {
				required = append(required, field)
			}
			p := def.Properties[field]
			if p.Description == "" && p.Ref != "#/$defs/totals" {
				t.Errorf("%s.%s is not described", name, field)
			}
			if got, want := p.Type+p.Ref, jsonType(typ.Field(i).Type); got != want {
				t.Errorf("%s.%s is %q in the schema, %q in the type", name, field, got, want)
			}
		}
		for field := range def.Properties {
			if !slices.Contains(fields, field) {
				t.Errorf("%s.%s is in the schema and not in the type", name, field)
			}
		}
		slices.Sort(required)
		slices.Sort(def.Required)
		if !slices.Equal(def.Required, required) {
			t.Errorf("%s requires %q, its type %q", name, def.Required, required)
		}
	}
}

// jsonName is what JSON calls a field; "" for one that it does not have.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

// jsonType is the type or reference that the schema has for typ.
func jsonType(typ reflect.Type) string {
	switch typ {
	case reflect.TypeFor[time.Time]():
		return "#/$defs/time"
	case reflect.TypeFor[Totals](), reflect.TypeFor[*Error]():
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		return "#/$defs/" + strings.ToLower(typ.Name())
	}
	switch typ.Kind() {
	case reflect.String:
		return "string"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "array"
	case reflect.Pointer:
		return jsonType(typ.Elem())
	}
	return fmt.Sprint("?", typ)
}

// TestListsAreNeverNull has what marshalling promises, and that it reads back.
func TestListsAreNeverNull(t *testing.T) {
	s := Status{Tunnels: []Tunnel{{Sessions: []Session{{}}}, {}}}
	text, err := json.Marshal(&s)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("null")) {
		t.Errorf("%s", text)
	}
	want := full(t)
	if text, err = json.Marshal(want); err != nil {
		t.Fatal(err)
	}
	var got Status
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&got, want) {
		t.Errorf("got  %+v\nwant %+v", got, *want)
	}
}
