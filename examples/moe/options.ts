/** The command line. */

import { parseArgs } from "node:util"
import type { DeviceSelector } from "auxstream"
import { published } from "./sizes.js"

/** More tokens than this would take minutes without a GPU. */
const MOST_TOKENS = 4096

/** What the command line asked for. What it did not name is undefined. */
export interface Options {
  readonly input: string | undefined
  readonly tokens: number | undefined
  readonly layers: number | undefined
  readonly device: DeviceSelector
  readonly json: boolean
  readonly help: boolean
}

/** Something that the user can mend. Its message is one sentence; the program ends with exit code 2. */
export class UsageError extends Error {}

export const help = `Runs mixture-of-experts layers of the sizes of Qwen1.5-MoE-A2.7B, the routed experts beside the shared
expert on two streams, and measures how much of the possible overlap that reaches, eager and captured as graphs.

  npm start -- [options]

  --input FILE   the text whose bytes are the tokens (README.md)
  --tokens N     how many of its bytes: 1 to ${MOST_TOKENS} (64)
  --layers L     how many layers: 1 to ${published.layers} (2 on host, on a GPU ${published.layers} or what fits)
  --device D     auto, host, cuda or cuda:N (auto)
  --json         print one JSON object and nothing else
  --help         print this`

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args)
  if (values.input === "") throw new UsageError("--input is empty; it takes the path of a text.")
  return {
    input: values.input,
    tokens: integer(values.tokens, "--tokens", MOST_TOKENS),
    layers: integer(values.layers, "--layers", published.layers),
    device: selector(values.device ?? "auto"),
    json: values.json ?? false,
    help: values.help ?? false,
  }
}

function parse(args: readonly string[]) {
  const value = { type: "string" } as const
  const flag = { type: "boolean" } as const
  try {
    const options = { input: value, tokens: value, layers: value, device: value, json: flag, help: flag }
    return parseArgs({ args: joinNegativeNumbers(args), options }).values
  } catch (error) {
    const [sentence = "the command line is not understood"] = String(
      error instanceof Error ? error.message : error,
    ).split(". ")
    throw new UsageError(`${sentence.replace(/\.$/, "")}; --help names the options.`, { cause: error })
  }
}

/** "--tokens", "-3" becomes "--tokens=-3", so that it is refused as a number and not as an option. */
function joinNegativeNumbers(args: readonly string[]): string[] {
  const joined: string[] = []
  for (const arg of args) {
    const previous = joined.at(-1)
    if (/^-\d/.test(arg) && (previous === "--tokens" || previous === "--layers")) joined.push(`${joined.pop()}=${arg}`)
    else joined.push(arg)
  }
  return joined
}

function integer(text: string | undefined, option: string, most: number): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (value >= 1 && value <= most) return value
  throw new UsageError(`${option} is ${JSON.stringify(text)}; it is an integer from 1 to ${most}.`)
}

function selector(text: string): DeviceSelector {
  if (text === "auto" || text === "host" || text === "cuda") return text
  const ordinal = /^cuda:(\d{1,4})$/.exec(text)?.[1]
  if (ordinal !== undefined) return `cuda:${Number(ordinal)}`
  throw new UsageError(`--device is ${JSON.stringify(text)}; it is auto, host, cuda or cuda:N.`)
}
