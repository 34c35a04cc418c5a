/** Builds dist/ and build/, see lib/build.mjs. With `--if-stale`, only when a source has changed since the last build. */

import { build, isBuilt } from "./lib/build.mjs"
import { say } from "./lib/project.mjs"
import { install } from "./lib/setup.mjs"

if (!process.argv.includes("--if-stale") || !isBuilt()) {
  install()
  say("Building")
  process.exitCode = build()
}
