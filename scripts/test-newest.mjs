/**
 * Runs the built tests under the newest Node.js, fetched as an npm package for this platform. The package is kept, so that
 * later runs work offline.
 */

import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync } from "node:fs"
import { at, npm, say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"
import { runTests } from "./lib/tests.mjs"

const platform = process.platform === "win32" ? "win" : process.platform
const packageName = `node-${platform}-${process.arch}`
const cache = at("node_modules/.cache/newest-node")
const binary = `${cache}/node_modules/${packageName}/bin/node${process.platform === "win32" ? ".exe" : ""}`

setUp()
say("Looking for the newest Node.js")
mkdirSync(cache, { recursive: true })
const fetched = npm([
  "install",
  "--prefix",
  cache,
  "--no-audit",
  "--no-fund",
  "--loglevel=error",
  `${packageName}@latest`,
])
if (existsSync(binary)) {
  const version = spawnSync(binary, ["--version"], { encoding: "utf8" }).stdout.trim()
  say(`Testing under Node.js ${version}${fetched === 0 ? "" : ", fetched earlier"}`)
  process.exitCode = runTests(process.argv.slice(2), binary)
} else {
  console.error(
    `Could not fetch ${packageName} from the npm registry. The first run needs it; later runs work offline.`,
  )
  process.exitCode = 1
}
