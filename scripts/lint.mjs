/** Lints. The rules that need types need the declarations in dist/, too. */

import { node, tools } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

setUp()
process.exitCode = node(tools.oxlint, process.argv.slice(2))
