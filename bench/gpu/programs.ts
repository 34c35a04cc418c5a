/** Running programs that may hang, fail or not be there. */

import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** How a program ended. */
export interface Ended {
  /** Undefined when it did not end by itself. */
  readonly status: number | undefined
  readonly timedOut: boolean
  /** Standard output and standard error as they came. */
  readonly output: string
  readonly seconds: number
}

/** What is said to it. */
export interface ProgramOptions {
  readonly seconds: number
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
}

/** Runs a program. What it has started ends with it when its time is up. */
export function runProgram(command: string, args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const { seconds, environment = {}, directory } = options
  const started = performance.now()
  return new Promise((resolve) => {
    let output = ""
    let timedOut = false
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...environment },
      cwd: directory,
      detached: true,
    })
    const timer = setTimeout(() => {
      timedOut = true
      killGroup(child.pid)
    }, seconds * 1000)
    const end = (status: number | undefined) => {
      clearTimeout(timer)
      resolve({ status, timedOut, output, seconds: (performance.now() - started) / 1000 })
    }
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text))
    }
    child.on("error", (error) => {
      output += error.message
      end(undefined)
    })
    child.on("close", (status) => end(status ?? undefined))
  })
}

/** Ends a process that was started `detached`, with all that it has started. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended already.
  }
}

/** Where a program of the CUDA toolkit is: on the path or in the usual places; its bare name if it is nowhere. */
export function toolkitProgram(name: string): string {
  const folders = ["/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin"]
  const searched = [...(process.env["PATH"] ?? "").split(delimiter), ...folders]
  return searched.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? name
}

/** The last lines of a text, for a report. */
export function tail(text: string, lines = 12): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n")
}
