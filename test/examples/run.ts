import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

/** The project's folder. Compiled tests lie two folders below the build's. */
export const project = fileURLToPath(new URL("../../..", import.meta.url))

/** The output and exit of an example. */
export interface Outcome {
  readonly exitCode: number | null
  readonly output: string
  readonly errors: string
}

/** Runs a built example in a process of its own, as a user would. */
export function runExample(name: string, ...args: string[]): Outcome {
  return runScript(fileURLToPath(new URL(`../../examples/${name}.js`, import.meta.url)), ...args)
}

/** Runs a script with Node.js in the project's folder. Any warning is an error. */
export function runScript(script: string, ...args: string[]): Outcome {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, [script, ...args], {
    cwd: project,
    encoding: "utf8",
    timeout: 300_000,
  })
  if (error !== undefined) throw error
  return { exitCode: status, output: stdout, errors: stderr }
}
