package sqltext

import "strings"

// This file finds out whether a query can run twice with no other effect than once.

// Repeats reports whether the query certainly only reads, and leaves the session as it was:
// [Query.Reads] holds, and all functions that it calls are those of the engines that have
// no effect. A function of the schema may write, or count how often it is called.
func (q *Query) Repeats() bool { return q.repeats }

// pure has the functions without an effect that queries use most.
var pure = words(
	"count sum avg min max total every bool_and bool_or array_agg string_agg group_concat json_agg jsonb_agg json_object_agg jsonb_object_agg json_arrayagg json_objectagg json_group_array json_group_object percentile_cont percentile_disc mode stddev variance",
	"row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value",
	"coalesce nullif greatest least ifnull iif if isnull cast convert typeof pg_typeof row grouping",
	"abs ceil ceiling floor round trunc truncate mod power pow sqrt exp ln log log10 sign div random rand",
	"lower upper initcap length char_length character_length octet_length bit_length trim ltrim rtrim btrim substr substring left right replace concat concat_ws position strpos instr locate lpad rpad repeat reverse split_part translate format printf chr char ascii unicode quote hex unhex encode decode md5 sha1 sha2 sha256 regexp_replace regexp_match regexp_matches regexp_like regexp_substr like glob substring_index find_in_set field elt unaccent similarity",
	"now current_timestamp current_date current_time localtime localtimestamp clock_timestamp statement_timestamp transaction_timestamp utc_timestamp unix_timestamp from_unixtime date time datetime julianday strftime unixepoch timestamp timestamptz interval date_trunc date_part extract age make_date make_interval make_timestamptz to_char to_date to_timestamp to_number year month day hour minute second dayofweek dayofyear week weekday quarter date_add date_sub date_format datediff timestampdiff timestampadd str_to_date last_day curdate curtime",
	"json json_extract json_each json_tree json_array json_object json_array_length json_type json_valid json_quote json_value json_query json_contains json_contains_path json_search json_unquote json_length json_keys json_table json_build_object json_build_array jsonb_build_object jsonb_build_array jsonb_extract_path jsonb_extract_path_text json_array_elements jsonb_array_elements jsonb_array_elements_text json_array_elements_text jsonb_each jsonb_each_text jsonb_array_length jsonb_typeof jsonb_set jsonb_path_query jsonb_path_exists to_json to_jsonb row_to_json",
	"array_length array_position array_to_string string_to_array array_append array_remove array_cat cardinality unnest any_value generate_series generate_subscripts",
	"to_tsvector to_tsquery plainto_tsquery phraseto_tsquery websearch_to_tsquery ts_rank ts_rank_cd ts_headline setweight bm25 highlight snippet match",
	"current_setting current_schema current_user current_role session_user user database version connection_id pg_backend_pid obj_description col_description to_regclass format_type pg_get_expr changes",
)

// beforeParenthesis has the words that a parenthesis follows without a call.
var beforeParenthesis = words(
	"select from where and or not xor in any all some exists as on using having when then else case end between like ilike is distinct limit offset by over partition filter within values with materialized recursive union except intersect join lateral array set returning fetch first next rows row filter",
	"integer int bigint smallint numeric decimal varchar char character text real double float timestamp time bit nchar binary varbinary signed unsigned",
)

func words(lists ...string) map[string]bool {
	all := map[string]bool{}
	for _, list := range lists {
		for word := range strings.FieldsSeq(list) {
			all[word] = true
		}
	}
	return all
}

// call reads an opening parenthesis. It is called before the parenthesis is pushed.
func (s *scanner) call() {
	name := s.lastName()
	if name == "" {
		return
	}
	known := pure[name] || beforeParenthesis[name]
	s.calls = s.calls || !known || s.recent[1].char == '.'
}
