import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** The folder of the sources. Compiled tests lie two folders below where the build puts everything. */
export const project = fileURLToPath(new URL("../../..", import.meta.url))

/** What an example left behind. */
export interface Outcome {
  readonly exitCode: number | null
  readonly output: string
  readonly errors: string
}

/** Runs a built example as its user would: in a process of its own. */
export function runExample(name: string, ...args: string[]): Outcome {
  return runScript(fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url)), ...args)
}

/** Runs a script of Node.js from the project's folder. Warnings count as errors here: nothing should need any. */
export function runScript(script: string, ...args: string[]): Outcome {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [script, ...args], {
    cwd: project,
    encoding: "utf8",
    timeout: 120_000,
  })
  if (error !== undefined) throw error
  return { exitCode: status, output: stdout, errors: stderr }
}
