/** Runs programs that may hang, fail or be missing. */

import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

/** How a program ended. */
export interface Ended {
  /** Undefined if it did not end by itself. */
  readonly status: number | undefined
  readonly timedOut: boolean
  /** Standard output and standard error, interleaved. */
  readonly output: string
  readonly seconds: number
}

/** The program's input and limits. */
export interface ProgramOptions {
  readonly seconds: number
  readonly environment?: Readonly<Record<string, string>>
  readonly directory?: string
}

/** Runs a program. When its time is up, it is ended with all its children. */
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

/** Ends a process that was started `detached`, and all its children. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended already.
  }
}

/** The path of a CUDA toolkit program, from PATH or the usual places; its bare name if it is not found. */
export function toolkitProgram(name: string): string {
  const folders = ["/usr/local/cuda/bin", "/usr/local/cuda/compute-sanitizer", "/opt/cuda/bin"]
  const searched = [...(process.env["PATH"] ?? "").split(delimiter), ...folders]
  return searched.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? name
}

/** The last lines of a text, for a report. */
export function tail(text: string, lines = 12): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n")
}
