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
	mutateInnerJoin              // rows without rows of their own are forgotten in nested aggregates
	mutateHopShare               // conditions on rows that were picked otherwise share one row
	mutatePickEnd                // last for first
	mutateTieCollate             // ties of text keys are broken in the order of the database
	mutatePickFilters            // the condition of find(…) is lost
	mutateWithin                 // within counts from the wrong side
	mutateOtherCampaign          // another campaign's messages count
	mutateSuppressed             // a suppressed address counts
	mutateThreshold              // a threshold of the base too high
	mutateTies                   // whoever is at a threshold is beyond it
	mutateLeapDay                // 29 February is not celebrated in common years
	mutateWithinEnd              // the last day of within does not count
	mutateNewYear                // what lies behind New Year does not count
	mutateFirstYear              // the day itself is an anniversary, too
	mutateAge                    // an age is reached on the day after the birthday
	mutateSplit                  // random shares of different names are the same
	mutateJSONText               // a text within JSON that looks like a number is one
	mutateJSONGuard              // a value within JSON is cast whatever it is
	mutateListNull               // a missing text in a list counts
	mutateSplitEmpty             // splitting an empty text gives no part
	mutateRoundEven              // a half is rounded to the even number
	mutateFoldASCII              // only A to Z have small letters
	lastMutation
)
