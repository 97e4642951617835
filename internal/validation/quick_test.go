package validation_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/internal/plan"
	"github.com/seed-215b9b7c/backend/internal/validation"
)

func compiled(t *testing.T, of reflect.Type) *validation.Validator {
	t.Helper()
	described, err := plan.NewCompiler(plan.In).Compile(of)
	require.NoError(t, err)
	v, err := validation.Compile(described)
	require.NoError(t, err)
	return v
}

type quickInner struct {
	Name  string            `json:"name" validate:"required,max=3"`
	By    map[string]string `json:"by" validate:"max=2,dive,keys,min=1,max=2,endkeys,oneof=a b"`
	Again *quickInner       `json:"again"`
}

// quickInput has every rule that is looked at quickly, on every kind that it
// means something for.
type quickInput struct {
	A string                  `json:"a" validate:"required,min=2,max=4"`
	B string                  `json:"b" validate:"omitempty,len=3"`
	C int                     `json:"c" validate:"required,gt=-3,lt=3"`
	D int8                    `json:"d" validate:"gte=-1,lte=1,ne=0"`
	E uint16                  `json:"e" validate:"min=1,max=3"`
	F float64                 `json:"f" validate:"min=0,max=2"`
	G []string                `json:"g" validate:"required,min=1,max=3,dive,max=2"`
	H map[string]int          `json:"h" validate:"omitempty,len=1,dive,eq=1"`
	I *string                 `json:"i" validate:"omitempty,min=1,max=2"`
	J *int                    `json:"j" validate:"required,max=1"`
	K backend.Opt[string]     `json:"k" validate:"omitempty,min=1,oneof=a bb"`
	L backend.Opt[[]int]      `json:"l" validate:"omitempty,max=2,dive,min=0"`
	M bool                    `json:"m" validate:"required"`
	N []byte                  `json:"n" validate:"max=2"`
	O [][]int                 `json:"o" validate:"max=2,dive,min=1,max=2,dive,ne=1"`
	P quickInner              `json:"p"`
	Q []quickInner            `json:"q" validate:"max=2,dive"`
	R map[string]*quickInner  `json:"r" validate:"omitempty,max=1,dive"`
	S backend.Opt[quickInner] `json:"s"`
	T string                  `json:"t" validate:"omitempty,email"`
	U string                  `json:"u" validate:"lowercase"`
	V backend.ID              `json:"v" validate:"min=0"`
	W []string                `json:"w" validate:"max=2,dive,omitempty,uuid"`
	X string                  `json:"x" validate:"eq=3|len=0"`
	Y string                  `json:"y" validate:"omitempty,ne=5,excludes=x"`
	Z *float64                `json:"z" validate:"omitempty,gt=0"`

	AA []string                `json:"aa" validate:"omitzero,min=2"`
	AB *string                 `json:"ab" validate:"omitzero,min=2"`
	AC map[string]int          `json:"ac" validate:"omitzero,len=1,dive,omitzero,gt=1"`
	AD *[]int                  `json:"ad" validate:"omitempty,min=1,max=2"`
	AE *[]int                  `json:"ae" validate:"required,max=2"`
	AF backend.Opt[[]int]      `json:"af" validate:"omitnil,min=1,max=2"`
	AG []*int                  `json:"ag" validate:"max=3,dive,omitzero,gt=1"`
	AH string                  `json:"ah" validate:"omitzero,min=2"`
	AI uint16                  `json:"ai" validate:"omitzero,gt=2"`
	AJ *quickInner             `json:"aj" validate:"omitzero"`
	AK backend.Opt[quickInner] `json:"ak" validate:"omitzero"`
	AL float64                 `json:"al" validate:"ne=1,lt=2"`
	AM *float64                `json:"am" validate:"required,eq=1"`
	AN string                  `json:"an" validate:"omitempty,gt=1,lt=4,alpha"`
	AO string                  `json:"ao" validate:"required,gte=2,lte=3,alphanum"`
	AP []bool                  `json:"ap" validate:"ne=2,max=3,dive,required"`
	AQ map[string][]string     `json:"aq" validate:"omitempty,max=5,dive,keys,lt=3,endkeys,required,max=2,dive,oneof=a bb"`
	AR *map[string]int         `json:"ar" validate:"omitempty,min=1,max=9,dive,keys,oneof=a,endkeys,ne=2"`
	AS float64                 `json:"as" validate:"min=0|max=-1"`
	AT *int                    `json:"at" validate:"omitnil,ne=1"`
	AU []*quickInner           `json:"au" validate:"omitempty,max=3,dive,required"`
	AV []backend.Opt[string]   `json:"av" validate:"max=4,dive,required,min=2"`
	AW []float32               `json:"aw" validate:"max=4,dive,min=0,max=2"`
	AX [2]int                  `json:"ax" validate:"dive,omitempty,gt=1"`
	AY time.Duration           `json:"ay" validate:"min=1,max=2ns"`
	AZ *time.Time              `json:"az" validate:"omitempty,gt"`
	BA []byte                  `json:"ba" validate:"required,min=1,max=2"`
	BB backend.ID              `json:"bb" validate:"required,ne=3"`
	BC string                  `json:"bc" validate:"oneof=a bb '3'"`
	BD string                  `json:"bd" validate:"oneof=a  bb"`
	BE string                  `json:"be" validate:"min=0,max=5,min=2"`
	BF []string                `json:"bf" validate:"unique,max=4"`
	BG string                  `json:"bg" validate:"numeric"`
	BH []quickInner            `json:"bh" validate:"max=3,dive,required"`
	BI *int                    `json:"bi" validate:"omitempty,required,max=1"`
	BJ backend.Opt[string]     `json:"bj" validate:"required,required,max=2"`
	BK string                  `json:"bk" validate:"notempty,max=3"`
	BL []string                `json:"bl" validate:"notempty,max=3,dive,notempty"`
	BM map[string]string       `json:"bm" validate:"omitempty,notempty,max=3"`
	BN *string                 `json:"bn" validate:"notempty,max=3"`
	BO backend.Opt[string]     `json:"bo" validate:"notempty"`
	BP backend.Opt[[]string]   `json:"bp" validate:"notempty,max=2"`
	BQ backend.Opt[string]     `json:"bq" validate:"omitempty,notempty,max=3"`
	BR string                  `json:"br" validate:"required,notempty"`
}

// leftToValidator are the fields above with rules that are not known.
var leftToValidator = strings.Fields("X Y AJ AK AS AU AV AW AY AZ BC BF BH")

// random fills v with values that often keep the rules above, and as often just
// do not.
func random(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString([]string{"", "a", "bb", "äöü", "a", "dddd", "eeeee", "a@b.example", "UP", "3", "5"}[r.IntN(11)])
	case reflect.Bool:
		v.SetBool(r.IntN(4) > 0)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(r.Int64N(9) - 4)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(r.Uint64N(5))
	case reflect.Float64, reflect.Float32:
		v.SetFloat([]float64{-0.1, 0, 1, 2, 2.5, math.NaN(), math.Inf(1)}[r.IntN(7)])
	case reflect.Pointer:
		if depth > 0 && r.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			random(r, v.Elem(), depth-1)
		}
	case reflect.Slice:
		if n := r.IntN(5); n < 4 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				random(r, v.Index(i), depth-1)
			}
		}
	case reflect.Map:
		if r.IntN(3) == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range r.IntN(3) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			random(r, key, depth-1)
			random(r, value, depth-1)
			v.SetMapIndex(key, value)
		}
	case reflect.Array:
		for i := range v.Len() {
			random(r, v.Index(i), depth-1)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(r.Int64N(4e9), 0)))
			return
		}
		for i := range v.NumField() {
			random(r, v.Field(i), depth-1)
		}
		if strings.HasPrefix(v.Type().Name(), "Opt[") && v.Field(plan.OptNull).Bool() {
			v.Field(plan.OptValue).SetZero()
		}
	}
}

// What is known of rules here is what validator says of them: of each field alone
// and of all of them.
func TestQuickIsWhatValidatorSays(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[quickInput]().Fields() {
		alone := reflect.StructOf([]reflect.StructField{field})
		v := compiled(t, alone)
		kept, broke := 0, 0
		for seed := range uint64(3000) {
			value := reflect.New(alone).Elem()
			random(rand.New(rand.NewPCG(seed, uint64(field.Index[0]))), value, 5)
			want := v.Check(t.Context(), value, true)
			require.Equal(t, want, v.Check(t.Context(), value, false), "%s: %+v", field.Name, value.Interface())
			if slices.Contains(leftToValidator, field.Name) {
				require.False(t, v.Holds(value) && len(want) > 0)
			} else {
				require.Equal(t, len(want) == 0, v.Holds(value), "%s: %+v", field.Name, value.Interface())
			}
			if len(want) == 0 {
				kept++
			} else {
				broke++
			}
		}
		require.Positive(t, kept, field.Name)
		require.Positive(t, broke, field.Name)
	}
	whole := compiled(t, reflect.TypeFor[quickInput]())
	for seed := range uint64(3000) {
		value := reflect.New(reflect.TypeFor[quickInput]()).Elem()
		random(rand.New(rand.NewPCG(seed, 99)), value, 5)
		require.Equal(t, whole.Check(t.Context(), value, true), whole.Check(t.Context(), value, false))
	}
}
