/**
 * Writes the API reference from the doc comments, with TypeDoc: `npm run docs [-- --out FOLDER]`. A warning is an error. TypeDoc
 * needs a TypeScript that is written in JavaScript, so it has a folder of its own, `scripts/reference/`, with its own lock file.
 */

import { existsSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { at, node, npm, say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

const workspace = at("scripts/reference")
const typedoc = `${workspace}/node_modules/typedoc`
const { values } = parseArgs({ options: { out: { type: "string", default: at("reference") } } })

// Some sources are generated.
setUp()
if (!isInstalled()) {
  say("Installing TypeDoc")
  if (npm(["ci", "--prefix", workspace, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]) !== 0) {
    console.error("Installing failed. The first run needs the npm registry, or npm's cache of TypeDoc.")
    process.exit(1)
  }
}
say("Writing the reference")
const entries = entryPoints().flatMap((path) => ["--entryPoints", at(path)])
process.exitCode = node(`${typedoc}/bin/typedoc`, [
  "--options",
  `${workspace}/typedoc.json`,
  "--out",
  values.out,
  ...entries,
])

function isInstalled() {
  if (!existsSync(`${typedoc}/package.json`)) return false
  const read = (path) => JSON.parse(readFileSync(path, "utf8"))
  return read(`${typedoc}/package.json`).version === read(`${workspace}/package.json`).devDependencies.typedoc
}

/** The sources of everything that the package exports, by the types in its package.json. */
function entryPoints() {
  const { exports } = JSON.parse(readFileSync(at("package.json"), "utf8"))
  return Object.values(exports).flatMap(({ types }) => {
    return types === undefined ? [] : [types.replace(/^\.\/dist\//, "src/").replace(/\.d\.ts$/, ".ts")]
  })
}
