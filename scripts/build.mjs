/** Builds dist/ and build/; see lib/build.mjs. */

import { build } from "./lib/build.mjs"
import { say } from "./lib/project.mjs"
import { install } from "./lib/setup.mjs"

install()
say("Building")
process.exitCode = build()
