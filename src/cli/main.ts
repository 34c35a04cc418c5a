#!/usr/bin/env node
/** The command `auxstream`: finds the command and runs it. A mistake in the command line costs one sentence and exit code 2. */
import process from "node:process"
import { bench } from "./bench.js"
import { type Command, UsageError } from "./command.js"
import { demo } from "./demo.js"
import { doctor } from "./doctor.js"
import { graph } from "./graph.js"
import { trace } from "./trace.js"

const commands: readonly Command[] = [doctor, demo, trace, bench, graph]
const USAGE = 2

const help = `auxstream COMMAND [options]

${commands.map(({ name, summary }) => `  ${name.padEnd(8)} ${summary}`).join("\n")}

\`auxstream COMMAND --help\` says more.`

async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return say(help)
  const command = commands.find((one) => one.name === name)
  if (command === undefined) {
    const names = commands.map((one) => one.name).join(", ")
    throw new UsageError(`The command must be one of ${names}; got ${JSON.stringify(name)}.`)
  }
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args
  if (command.help !== undefined && (own[0] === "--help" || own[0] === "-h")) return say(command.help)
  return await command.run(args)
}

function say(text: string): number {
  console.log(text)
  return 0
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = error instanceof UsageError ? USAGE : 1
  },
)
