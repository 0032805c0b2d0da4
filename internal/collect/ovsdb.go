package collect

import (
	"encoding/json"
	"fmt"
)

// row is a row of a table of Open vSwitch's database, by column. Its values are in
// the notation of RFC 7047, 5.1: a set of one is the element itself, and a string, a
// number, or no value at all has the type's zero value below.
type row map[string]json.RawMessage

// decodeTable reads the next table that ovs-vsctl printed with --format=json.
func decodeTable(d *json.Decoder) ([]row, error) {
	var table struct {
		Headings []string            `json:"headings"`
		Data     [][]json.RawMessage `json:"data"`
	}
	if err := d.Decode(&table); err != nil {
		return nil, err
	}
	rows := make([]row, len(table.Data))
	for i, values := range table.Data {
		if len(values) != len(table.Headings) {
			return nil, fmt.Errorf("a row of %d columns under %d headings", len(values), len(table.Headings))
		}
		rows[i] = row{}
		for j, value := range values {
			rows[i][table.Headings[j]] = value
		}
	}
	return rows, nil
}

func (r row) text(column string) string {
	var s string
	if json.Unmarshal(r[column], &s) != nil {
		return ""
	}
	return s
}

func (r row) number(column string) int {
	var n int
	if json.Unmarshal(r[column], &n) != nil {
		return 0
	}
	return n
}

// uuids reads a column of references.
func (r row) uuids(column string) []string {
	elements := []json.RawMessage{r[column]}
	if set, ok := tagged(r[column], "set"); ok {
		if json.Unmarshal(set, &elements) != nil {
			return nil
		}
	}
	var uuids []string
	for _, e := range elements {
		var uuid string
		if value, ok := tagged(e, "uuid"); ok && json.Unmarshal(value, &uuid) == nil {
			uuids = append(uuids, uuid)
		}
	}
	return uuids
}

// pairs reads a column that is a map. Numbers are as they are written.
func (r row) pairs(column string) map[string]string {
	var pairs [][2]json.RawMessage
	value, ok := tagged(r[column], "map")
	if !ok || json.Unmarshal(value, &pairs) != nil {
		return nil
	}
	m := map[string]string{}
	for _, p := range pairs {
		var key string
		if json.Unmarshal(p[0], &key) != nil {
			continue
		}
		var text string
		if json.Unmarshal(p[1], &text) != nil {
			text = string(p[1])
		}
		m[key] = text
	}
	return m
}

// tagged is what follows the tag in ["tag", value].
func tagged(raw json.RawMessage, tag string) (json.RawMessage, bool) {
	var pair []json.RawMessage
	var is string
	if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 || json.Unmarshal(pair[0], &is) != nil || is != tag {
		return nil, false
	}
	return pair[1], true
}
