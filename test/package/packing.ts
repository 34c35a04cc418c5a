import { spawnSync } from "node:child_process"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/** The project's folder, relative to this file in build/. */
export const project = fileURLToPath(new URL("../../../", import.meta.url))

/** A new empty folder outside of the project, so that nothing of the project is resolved from it by accident. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "auxstream-package-"))
}

/** Packs the last build of the project into `folder`. @returns the tarball's path */
export function pack(folder: string): string {
  const printed = npm(project, "pack", "--ignore-scripts", "--json", "--pack-destination", folder)
  const packed = JSON.parse(printed) as [{ filename: string }] | Record<string, { filename: string }>
  const [first] = Object.values(packed)
  if (first === undefined) throw new Error(`npm pack told of no tarball: ${printed}`)
  return join(folder, first.filename)
}

/** Runs npm in `folder`. Throws with its output if it fails. @returns its output */
export function npm(folder: string, ...args: string[]): string {
  const cli = process.env["npm_execpath"]
  const found = cli !== undefined && cli.endsWith("npm-cli.js")
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
  return found
    ? run(folder, process.execPath, [cli, ...args, ...quiet])
    : run(folder, "npm", [...args, ...quiet], process.platform === "win32")
}

/** Runs a script with this Node.js in `folder`. Throws with its output if it fails. @returns its output */
export function node(folder: string, ...args: string[]): string {
  return run(folder, process.execPath, args)
}

function run(folder: string, command: string, args: string[], shell = false): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    env: environment(),
    encoding: "utf8",
    shell,
    timeout: 300_000,
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}.\n${stdout}\n${stderr}`)
  return stdout
}

/** A user's environment, without the variables of the test runner and of this project. */
function environment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(AUXSTREAM_|NODE_TEST_CONTEXT$|NODE_OPTIONS$)/.test(name),
  )
  return Object.fromEntries(own)
}
