/**
 * Runs the host device's conformance suites, fork-joins and random programs under Bun and Deno, fetched as npm packages. The
 * packages are kept, so that later runs work offline.
 */

import { spawnSync } from "node:child_process"
import { mkdirSync } from "node:fs"
import { at, filesBelow, npm, root, say } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

/** More than any suite needs on a slow machine. A suite that takes longer hangs, and fails. */
const millisecondsPerFile = 180_000

const cache = at("node_modules/.cache/runtimes")

const runtimes = [
  {
    name: "Bun",
    packageName: "bun",
    scope: "@oven",
    program: /\/bun(\.exe)?$/,
    args: ["test", `--timeout=${millisecondsPerFile}`],
  },
  {
    name: "Deno",
    packageName: "deno",
    scope: "@deno",
    program: /\/deno(\.exe)?$/,
    args: ["test", "--allow-all", "--no-check", "--no-lock"],
  },
]

const folders = ["build/test/conformance/", "build/test/parallel/"]

/** Suites that start programs with flags of Node.js and V8. The first one tests the CUDA device. */
const left = new Set(["build/test/conformance/on-the-double.test.js", "build/test/parallel/stack-overflow.test.js"])

setUp()
mkdirSync(cache, { recursive: true })
const prefixes = process.argv.slice(2).map((prefix) => `build/${prefix.replace(/\.ts$/, ".js")}`)
const suites = folders
  .flatMap((folder) => filesBelow(folder.slice(0, -1)))
  .filter((path) => path.endsWith(".test.js") && !left.has(path))
  .filter((path) => prefixes.length === 0 || prefixes.some((prefix) => path.startsWith(prefix)))
if (suites.length === 0) {
  console.error(`No suite matches ${process.argv.slice(2).join(", ")}. Name folders or files as in the sources.`)
  process.exit(1)
}
const outcomes = runtimes.map((runtime) => testUnder(runtime))
process.exitCode = outcomes.every(Boolean) ? 0 : 1

/** Runs each suite in a process of its own, and prints the results. Returns whether all passed. */
function testUnder(runtime) {
  const { name, packageName, args } = runtime
  const binary = fetch(runtime)
  if (binary === undefined) {
    console.error(
      `Could not fetch ${packageName} from the npm registry. The first run needs it; later runs work offline.`,
    )
    return false
  }
  const version = versionOf(binary)
  say(`Testing ${suites.length} suites under ${name} ${version}`)
  const start = performance.now()
  const failed = suites.filter((suite) => !passes(binary, [...args, `./${suite}`], suite))
  const seconds = Math.round((performance.now() - start) / 1000)
  console.log(`${name} ${version}: ${suites.length - failed.length} of ${suites.length} suites passed in ${seconds} s`)
  for (const suite of failed) console.log(`  failed: ${suite.replace(/^build\//, "").replace(/\.js$/, ".ts")}`)
  return failed.length === 0
}

function passes(binary, args, suite) {
  const env = { ...process.env, AUXSTREAM_TEST_DEVICE: "host", DENO_DIR: `${cache}/deno`, NO_COLOR: "1" }
  const options = { cwd: root, env, encoding: "utf8", timeout: millisecondsPerFile, killSignal: "SIGKILL" }
  const { status, error, stdout, stderr } = spawnSync(binary, args, options)
  if (status === 0) return true
  console.error(`${stdout}${stderr}${suite}: ${error?.message ?? `ended with status ${status}`}`)
  return false
}

/** The newest program of a package: the first of its binaries that runs here. Runs no script of the package. */
function fetch({ packageName, scope, program }) {
  const folder = `${cache}/${packageName}`
  mkdirSync(folder, { recursive: true })
  say(`Looking for the newest ${packageName}`)
  const flags = ["--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
  npm(["install", "--prefix", folder, ...flags, `${packageName}@latest`])
  const binaries = filesBelow(`${folder.slice(root.length)}/node_modules/${scope}`).filter((path) => program.test(path))
  return binaries.map((path) => at(path)).find((path) => versionOf(path) !== undefined)
}

function versionOf(binary) {
  const { status, stdout } = spawnSync(binary, ["--version"], { encoding: "utf8" })
  return status === 0 ? stdout.match(/\d+\.\d+\.\d+/)?.[0] : undefined
}
