#!/bin/sh
# Imports the AdventureWorks sample files into schema "data":
#
#   examples/adventureworks/import.sh FOLDER
#
# FOLDER has AdventureWorks_Customers.csv and its kin. The files keep their faults (Latin-1, "$90,000 ", two ways to
# write a date in one column); nothing is corrected here. Run it again and only what changed is written.
# $SAPA names the program where it is not on the PATH.
set -eu

if [ $# -ne 1 ] || [ ! -d "$1" ]; then
	echo "usage: $0 FOLDER-WITH-THE-CSV-FILES" >&2
	exit 2
fi
folder=$1
here=$(dirname "$0")

# load FILE TABLE [FLAG...]
load() {
	file=$folder/AdventureWorks_$1.csv table=$2
	shift 2
	"${SAPA:-sapa}" import --project "$here" "$file" --yes --table "$table" "$@"
}

# extra is load for what the campaigns do not need; some collections of the files lack it.
extra() {
	if [ -f "$folder/AdventureWorks_$1.csv" ]; then
		load "$@"
	else
		echo "no AdventureWorks_$1.csv: left out" >&2
	fi
}

load Customers customers --key CustomerKey --type BirthDate=date:MM/DD/YYYY
load Product_Categories categories --key ProductCategoryKey
load Product_Subcategories subcategories --key ProductSubcategoryKey
load Products products --key ProductKey
for year in 2021 2022 2023; do
	load "Sales_$year" sales --key OrderNumber,OrderLineItem
done
extra Phones phones --key EmailAddress
extra Territories territories --key SalesTerritoryKey
extra Returns returns --replace # has no key: two returns of a day can be equal
