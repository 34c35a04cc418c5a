/** Runs somebody's program, unchanged, with an environment variable. Uses no shell. */
import { spawn, type StdioOptions } from "node:child_process"
import { constants } from "node:os"
import process from "node:process"
import { UsageError } from "./command.js"

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"] as const
const SIGNAL = 128

/**
 * Runs a program to its end and passes signals on to it.
 *
 * @param output where its standard output is written
 * @returns its exit code, as a shell would tell it
 * @throws UsageError if it cannot be started
 */
export function runProgram(
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  output: "stdout" | "stderr",
): Promise<number> {
  const [name = "", ...args] = command
  const stdio: StdioOptions = ["inherit", output === "stdout" ? "inherit" : process.stderr, "inherit"]
  const file = name === "node" ? process.execPath : name
  const child = spawn(file, args, { stdio, env: { ...process.env, ...environment } })
  const forward = (signal: NodeJS.Signals) => void child.kill(signal)
  for (const signal of forwarded) process.on(signal, forward)
  return new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(new UsageError(`${name} cannot be started: ${error.message}.`)))
    child.once("exit", (code, signal) => resolve(code ?? SIGNAL + (signal === null ? 0 : constants.signals[signal])))
  }).finally(() => {
    for (const signal of forwarded) process.off(signal, forward)
  })
}
