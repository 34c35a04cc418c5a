/**
 * Runs a built program of this project, after installing and building any missing files: `node scripts/run.mjs
 * build/bench/main.js …`. The program runs in this process, so arguments, terminal, signals and exit code are its own.
 */

import { pathToFileURL } from "node:url"
import { at } from "./lib/project.mjs"
import { setUp } from "./lib/setup.mjs"

const [program, ...args] = process.argv.slice(2)
if (program === undefined) throw new Error("Name the program to run: node scripts/run.mjs build/bench/main.js")
setUp()
process.argv = [process.execPath, at(program), ...args]
await import(pathToFileURL(at(program)).href)
