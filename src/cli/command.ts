/** A command of `auxstream`, and how its mistakes are told: one sentence, exit code 2. */
import { parseArgs, type ParseArgsConfig } from "node:util"

/** A mistake in the command line that its user can fix. */
export class UsageError extends Error {}

export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** All of `auxstream NAME --help`; undefined if the command prints it itself. */
  readonly help?: string
  /** @returns the exit code */
  run(args: readonly string[]): Promise<number>
}

type Options = NonNullable<ParseArgsConfig["options"]>
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true }>>["values"]

/** Parses a command's options. @throws UsageError in one sentence */
export function parseOptions<const O extends Options>(command: string, args: readonly string[], options: O): Values<O> {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values
  } catch (error) {
    const [sentence = ""] = (error instanceof Error ? error.message : String(error)).split(/\.\s/, 1)
    throw new UsageError(`${sentence.replace(/\.$/, "")}. \`auxstream ${command} --help\` lists the options.`)
  }
}

/** Splits `OPTIONS -- PROGRAM ARGUMENTS`. */
export function splitProgram(args: readonly string[]): { readonly own: string[]; readonly program: string[] } {
  const dashes = args.indexOf("--")
  if (dashes < 0) return { own: [...args], program: [] }
  return { own: args.slice(0, dashes), program: args.slice(dashes + 1) }
}
