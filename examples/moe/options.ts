/** The command line. */

import { parseArgs } from "node:util"
import type { DeviceSelector } from "auxstream"
import { published } from "./sizes.js"

/** More tokens than this would take minutes without a GPU. */
const MOST_TOKENS = 4096

/** What the command line asked for. An option that it does not contain is undefined. */
export interface Options {
  readonly input: string | undefined
  readonly tokens: number | undefined
  readonly layers: number | undefined
  readonly device: DeviceSelector
  readonly json: boolean
  readonly help: boolean
}

/** A mistake that the user can fix. The message is one sentence; the program ends with exit code 2. */
export class UsageError extends Error {}

export const help = `Runs mixture-of-experts layers of Qwen1.5-MoE-A2.7B's sizes, with the routed experts and the shared expert side by
side on two streams. Measures how much of the possible overlap this reaches, eager and captured as graphs.

  npm start -- [options]

  --input FILE   a text; its bytes are the tokens (default README.md)
  --tokens N     number of tokens, 1 to ${MOST_TOKENS} (default 64)
  --layers L     number of layers, 1 to ${published.layers} (default 2 on host; ${published.layers}, or what fits, on a GPU)
  --device D     auto, host, cuda or cuda:N (default auto)
  --json         print one JSON object and nothing else
  --help         print this text`

/** @throws UsageError */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args)
  if (values.input === "") throw new UsageError("--input must be the path of a text; got an empty string.")
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
    const [sentence = "invalid command line"] = String(error instanceof Error ? error.message : error).split(". ")
    throw new UsageError(`${sentence.replace(/\.$/, "")}; --help lists the options.`, { cause: error })
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
  throw new UsageError(`${option} must be an integer from 1 to ${most}; got ${JSON.stringify(text)}.`)
}

function selector(text: string): DeviceSelector {
  if (text === "auto" || text === "host" || text === "cuda") return text
  const ordinal = /^cuda:(\d{1,4})$/.exec(text)?.[1]
  if (ordinal !== undefined) return `cuda:${Number(ordinal)}`
  throw new UsageError(`--device must be auto, host, cuda or cuda:N; got ${JSON.stringify(text)}.`)
}
