// Prints solc's "combined JSON" of the contracts named on the command line, from what forge built, for abigen.
"use strict";
const fs = require("fs");
const path = require("path");

const out = path.join(__dirname, "..", "out");
const contracts = {};
for (const name of process.argv.slice(2)) {
  const built = JSON.parse(fs.readFileSync(path.join(out, `${name}.sol`, `${name}.json`), "utf8"));
  contracts[`src/${name}.sol:${name}`] = { abi: built.abi, bin: built.bytecode.object.replace(/^0x/, "") };
}
process.stdout.write(JSON.stringify({ contracts, version: "" }));
