/** Formats every source in place; with `--check`, only says which are not formatted. */

import { node, tools } from "./lib/project.mjs"
import { install } from "./lib/setup.mjs"

install()
process.exitCode = node(tools.oxfmt, process.argv.slice(2))
