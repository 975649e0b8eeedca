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

# load FILE TABLE [FLAG...]
load() {
	file=$1 table=$2
	shift 2
	"${SAPA:-sapa}" import "$folder/AdventureWorks_$file.csv" --yes --table "$table" "$@"
}

folder=$1
load Customers customers --key CustomerKey --type BirthDate=date:MM/DD/YYYY
load Phones phones --key EmailAddress
load Product_Categories categories --key ProductCategoryKey
load Product_Subcategories subcategories --key ProductSubcategoryKey
load Products products --key ProductKey
load Territories territories --key SalesTerritoryKey
load Returns returns --replace # has no key: two returns of a day can be equal
for year in 2021 2022 2023; do
	load "Sales_$year" sales --key OrderNumber,OrderLineItem
done
