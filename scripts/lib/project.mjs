/** Shared by all scripts: the project's folder, running a program in it, and listing files. */

import { spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** The project's folder. */
export const root = fileURLToPath(new URL("../..", import.meta.url))

/** A path inside the project. */
export const at = (...parts) => join(root, ...parts)

/** The command lines of the tools. Run as scripts of Node.js: their wrappers in node_modules/.bin need a shell on Windows. */
export const tools = {
  tsc: at("node_modules/typescript/bin/tsc"),
  oxlint: at("node_modules/oxlint/bin/oxlint"),
  oxfmt: at("node_modules/oxfmt/bin/oxfmt"),
}

/** Runs a script with this Node.js, in the project's folder. Returns its exit code. */
export function node(script, args = [], options = {}) {
  return run(options.execPath ?? process.execPath, [script, ...args], options)
}

/** Runs npm. Returns its exit code. */
export function npm(args) {
  const cli = process.env.npm_execpath
  if (cli?.endsWith("npm-cli.js")) return node(cli, args)
  return run("npm", args, { shell: process.platform === "win32" })
}

function run(command, args, { shell = false, env = process.env } = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell, env })
  if (error) console.error(error.message)
  return status ?? 1
}

/** Prints a progress line to standard error, because standard output belongs to the program that is run. */
export function say(line) {
  console.error(`${line} …`)
}

/** Every file below a folder of the project, as paths from the project's folder with forward slashes. */
export function filesBelow(folder) {
  if (!existsSync(at(folder))) return []
  return readdirSync(at(folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}
