/** Prepares a clone: installs the packages of the lock file and builds the sources. Prints nothing if both are up to date. */

import { existsSync, readFileSync } from "node:fs"
import { build, isBuilt } from "./build.mjs"
import { at, npm, say } from "./project.mjs"

/** Installs missing packages and builds outdated files. Ends the process if that fails. */
export function setUp() {
  install()
  if (isBuilt()) return
  say("Building")
  const failed = build()
  if (failed) stop(failed, "Building failed.")
}

/** Installs the development dependencies if they are missing or not those of the lock file. Ends the process if that fails. */
export function install() {
  if (isInstalled()) return
  say("Installing development dependencies")
  const failed = npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
  if (failed)
    stop(failed, "Installing failed. The first set-up needs the npm registry, or npm's cache of these packages.")
}

/** Whether node_modules has the versions of the lock file. npm keeps a lock file of its own there, which is compared. */
function isInstalled() {
  if (!existsSync(at("node_modules/.package-lock.json"))) return false
  const installed = packages("node_modules/.package-lock.json")
  return Object.entries(packages("package-lock.json")).every(
    ([path, entry]) =>
      path === "" || installed[path]?.version === entry.version || (!installed[path] && isForSomePlatforms(entry)),
  )
}

const packages = (lock) => JSON.parse(readFileSync(at(lock), "utf8")).packages

const isForSomePlatforms = (entry) => Boolean(entry.optional || entry.devOptional) && Boolean(entry.os || entry.cpu)

function stop(exitCode, line) {
  console.error(line)
  process.exit(exitCode)
}
