/** Lints. Rules that use types need the declarations in dist/. */

import { node, tools } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

setUp()
process.exitCode = node(tools.oxlint, process.argv.slice(2))
