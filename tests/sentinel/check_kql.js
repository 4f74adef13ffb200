// Parses and binds KQL with the language service of Kusto itself.
// usage: node check_kql.js PACKAGE_DIR < input; input: {tables: {name: schema}, functions: [{name, parameters, body}],
// queries: [{name, text}]}; output, a JSON object by name: {errors: [text], columns: [name]}
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"])
  vm.runInThisContext(fs.readFileSync(path.join(process.argv[2], file), "utf8"), file);

const { KustoCode, GlobalState, Symbols } = Kusto.Language;
const input = JSON.parse(fs.readFileSync(0, "utf8"));
const list = (l) => Array.from({ length: l ? l.Count : 0 }, (_, i) => l.getItem(i));

const tables = Object.entries(input.tables).map(([name, schema]) => new Symbols.TableSymbol.$ctor7(name, schema, null));
const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", tables));

function check(text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const errors = list(code.GetDiagnostics()).map((d) => `${d.Severity} at ${d.Start}: ${d.Message}`);
  const type = code.ResultType;
  return { errors, columns: type && type.Columns ? list(type.Columns).map((c) => c.Name) : [] };
}

const out = {};
for (const q of input.queries) out[q.name] = check(q.text);
for (const f of input.functions)
  out[f.name] = check(`let ${f.name} = (${f.parameters}) {\n${f.body}\n};\n${f.name}()`);
process.stdout.write(JSON.stringify(out, null, 1));
