// The oracle says what Prometheus 3 itself makes of an expression: one JSON question a line in, one answer a line out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// question is a set of series and what is asked of them.
type question struct {
	Series []struct {
		Labels map[string]string `json:"labels"`
		Times  []int64           `json:"times"`
		Values []string          `json:"values"` // a number, NaN, +Inf, -Inf, or stale
	} `json:"series"`
	Queries []struct {
		Expr   string `json:"expr"`
		AtMs   int64  `json:"at_ms"`   // of an instant query, or the start of a range
		EndMs  int64  `json:"end_ms"`  // of a range
		StepMs int64  `json:"step_ms"` // 0 for an instant query
	} `json:"queries"`
	DelaysNames bool `json:"delays_names"` // with promql-delayed-name-removal
}

// element is one series with its points; an instant vector's have one each.
type element struct {
	Labels map[string]string `json:"labels"`
	Times  []int64           `json:"times"`
	Values []string          `json:"values"`
}

type answer struct {
	Error    string    `json:"error,omitempty"`
	Type     string    `json:"type,omitempty"`
	Elements []element `json:"elements"`
}

type sample struct {
	t int64
	f float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.f }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// memory answers selects out of a list of series.
type memory struct{ series []storage.Series }

func (m memory) Querier(_, _ int64) (storage.Querier, error) { return m, nil }
func (memory) Close() error                                  { return nil }

func (memory) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (memory) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (m memory) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
series:
	for _, s := range m.series {
		for _, matcher := range matchers {
			if !matcher.Matches(s.Labels().Get(matcher.Name)) {
				continue series
			}
		}
		found = append(found, s)
	}
	return &set{series: found, at: -1}
}

type set struct {
	series []storage.Series
	at     int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *set) At() storage.Series                { return s.series[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

func number(text string) float64 {
	if text == "stale" {
		return math.Float64frombits(value.StaleNaN)
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return v
}

func stored(q question) memory {
	var m memory
	for _, s := range q.Series {
		var points []chunks.Sample
		for i, t := range s.Times {
			points = append(points, sample{t, number(s.Values[i])})
		}
		m.series = append(m.series, storage.NewListSeries(labels.FromMap(s.Labels), points))
	}
	sort.Slice(m.series, func(i, j int) bool {
		return labels.Compare(m.series[i].Labels(), m.series[j].Labels()) < 0
	})
	return m
}

func text(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func one(labels map[string]string, t int64, f float64) element {
	return element{labels, []int64{t}, []string{text(f)}}
}

func ask(engine *promql.Engine, m memory, expr string, atMs, endMs, stepMs int64) answer {
	var query promql.Query
	var err error
	if stepMs == 0 {
		query, err = engine.NewInstantQuery(context.Background(), m, nil, expr, time.UnixMilli(atMs))
	} else {
		step := time.Duration(stepMs) * time.Millisecond
		query, err = engine.NewRangeQuery(context.Background(), m, nil, expr, time.UnixMilli(atMs), time.UnixMilli(endMs), step)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	defer query.Close()
	result := query.Exec(context.Background())
	if result.Err != nil {
		return answer{Error: result.Err.Error()}
	}
	switch v := result.Value.(type) {
	case promql.Scalar:
		return answer{Type: "scalar", Elements: []element{one(map[string]string{}, v.T, v.V)}}
	case promql.String:
		return answer{Type: "string", Elements: []element{{map[string]string{}, []int64{v.T}, []string{v.V}}}}
	case promql.Vector:
		elements := make([]element, 0, len(v))
		for _, s := range v {
			elements = append(elements, one(s.Metric.Map(), s.T, s.F))
		}
		return answer{Type: "vector", Elements: elements}
	case promql.Matrix:
		elements := make([]element, 0, len(v))
		for _, s := range v {
			each := element{Labels: s.Metric.Map()}
			for _, p := range s.Floats {
				each.Times, each.Values = append(each.Times, p.T), append(each.Values, text(p.F))
			}
			elements = append(elements, each)
		}
		return answer{Type: "matrix", Elements: elements}
	default:
		return answer{Error: fmt.Sprintf("a %s is no answer", result.Value.Type())}
	}
}

func newEngine(delaysNames bool) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples:               50_000_000,
		Timeout:                  time.Minute,
		LookbackDelta:            5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		EnableDelayedNameRemoval: delaysNames,
		Parser: parser.NewParser(parser.Options{
			EnableExperimentalFunctions: true,
			EnableBinopFillModifiers:    true,
		}),
	})
}

func main() {
	engines := map[bool]*promql.Engine{false: newEngine(false), true: newEngine(true)}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) == 0 && err != nil {
			return
		}
		var q question
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		m := stored(q)
		answers := make([]answer, 0, len(q.Queries))
		for _, each := range q.Queries {
			answers = append(answers, ask(engines[q.DelaysNames], m, each.Expr, each.AtMs, each.EndMs, each.StepMs))
		}
		if err := out.Encode(answers); err != nil {
			panic(err)
		}
	}
}
