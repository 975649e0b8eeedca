# A fresh machine needs Go, make and git; PostgreSQL is installed where it is missing.

GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: postgres build ## a workshop with 20,000 customers, five campaigns by mail, WhatsApp, text and postcard, calls, an alert, and a report
	@bin/sapa demo

.PHONY: build
build: ## the program, bin/sapa
	@CGO_ENABLED=0 go build -trimpath -o bin/sapa ./cmd/sapa

.PHONY: test
test: postgres lint ## every test, on a real PostgreSQL, and the linters; TEST_DATABASE_URL names another server
	@scripts/test.sh ./...
	@go test ./segment -timeout 0 -run '^(TestSQLAgreesWithVM|$(ALONE))$$' -rules 20000 -seed 20261122

.PHONY: quick
quick: postgres ## every test without linters and race detector
	@go test ./...

# make test asks the same rules every time, so that a change fails by its own mistakes; make prove asks new ones.
PROOF := go test ./segment -timeout 0 -run '^TestSQLAgreesWithVM$$'
PROVETIME := 10m
# Tests of rules in one goroutine: the race detector would find nothing in them and take four times as long.
ALONE := TestFactsAreAskedAsSets|TestPlantedMistakesAreFound|TestGeneratorDrawsEverything|FuzzParseRule|FuzzParseValue
FUZZTIME := 60s

.PHONY: prove
prove: postgres ## rules that nobody has seen for ten minutes, then each fuzz target of rules; PROVETIME=1h for longer
	@$(PROOF) -for $(PROVETIME) -seed 0 -v
	@scripts/fuzz.sh $(PROVETIME) segment

.PHONY: fuzz
fuzz: postgres ## every fuzz target for a minute; FUZZTIME=10m for longer
	@scripts/fuzz.sh $(FUZZTIME) .

.PHONY: test-mailers
test-mailers: ## the SMTP dialogue against Debian's Postfix and Exim, taken apart in a temporary folder; as root
	@scripts/mail-servers.sh go test -count 1 -timeout 5m -run 'MailServers' ./channels/email

.PHONY: bench
bench: postgres ## every benchmark
	@go test -run '^$$' -bench . -benchmem -timeout 60m ./...

.PHONY: bench-segment
bench-segment: postgres ## what rules cost beside SQL written by hand, over a million customers; some minutes
	@go run ./bench/segment

.PHONY: bench-send
bench-send: postgres ## what sending and planning cost beside go-mail, smtp-source and a bare insert; a quarter of an hour
	@go run ./bench/send

.PHONY: bench-rate
bench-rate: postgres ## whether a rate holds over three processes, one of which is killed; two and a half minutes
	@go run ./bench/rate

DRILLS := 1
CHANNEL := email

.PHONY: drill
drill: postgres build ## kill processes, database and connections while 100,000 messages are sent; DRILLS=10 for ten in a row; CHANNEL=sms, whatsapp or all
	@CHANNEL=$(CHANNEL) scripts/drills.sh $(DRILLS)

.PHONY: lint
lint: ## the linters of .golangci.yml; the first time builds them, about two minutes
	@$(GOLANGCI) run --allow-parallel-runners

.PHONY: fmt
fmt: ## format every Go file
	@$(GOLANGCI) fmt

.PHONY: generate
generate: postgres ## make what is made from other files: documents, schemas, expected results
	@go generate ./...
	@go test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n 1 dirname | sort -u) -update >/dev/null

.PHONY: verify
verify: generate ## fail where a made file is not up to date
	@git diff --exit-code

.PHONY: postgres
postgres: ## install PostgreSQL through the system's package manager, where it is missing
	@scripts/postgres.sh

.PHONY: clean
clean: ## remove what was built
	@rm -rf bin
