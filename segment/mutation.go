package segment

// mutation is a planted mistake. Each must turn the property test red, which shows that the test would find it.
type mutation int

const (
	noMutation          mutation = iota
	mutateIsNotTrue              // NOT of a leaf that may be NULL
	mutatePolarity               // all(…) looks for a row that satisfies
	mutateCollate                // text order of the database instead of bytes
	mutateSumOfNothing           // the sum of no rows is NULL
	mutateDayRounding            // a day begins after its first moment
	mutateLikeEscape             // % and _ in a literal are wildcards
	mutateNilInList              // nil in a list is ignored
	mutateDistinct               // != as <>
	mutateNullif                 // division by zero
	mutateSessionZone            // dates of instants in the session's zone
	mutateEmptyGroup             // customers without rows are forgotten
	mutateNarrow                 // what SQL can't decide is true even under NOT EXISTS
	mutateSharedFilters          // conditions over groups share them although their rows are filtered
	lastMutation
)
