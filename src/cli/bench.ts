import { type DeviceSelector, openDevice } from "../index.js"
import { type Command, parseOptions, UsageError } from "./command.js"
import { figureLines } from "./figures.js"
import { measure } from "./measure.js"

const DEFAULT_ROUNDS = 31
const MOST_ROUNDS = 1000

const help = `auxstream bench [--device auto|host|cuda|cuda:N] [--rounds N] [--json]

Measures a device: the host time of a launch, a fork-join and the launch of a graph, and how much two functions overlap.
Each figure is a median; in brackets, the middle half of the rounds.

  --device D  the device (default auto: the first usable GPU, otherwise the host device)
  --rounds N  1 to ${MOST_ROUNDS} (default ${DEFAULT_ROUNDS})
  --json      print one JSON object`

/** Measures a device. */
export const bench: Command = {
  name: "bench",
  summary: "measure launches, fork-joins, graphs and overlap on a device",
  help,
  async run(args) {
    const values = parseOptions("bench", args, {
      device: { type: "string" },
      rounds: { type: "string" },
      json: { type: "boolean" },
    })
    const device = openDevice(selector(values.device ?? "auto"))
    try {
      const measured = await measure(device, rounds(values.rounds))
      const { id, name } = device
      if (values.json === true) console.log(JSON.stringify({ device: id, name, ...measured }, undefined, 2))
      else console.log([`${id}  ${name}`, ...figureLines(measured).map((figure) => `  ${figure}`)].join("\n"))
      return 0
    } finally {
      device.dispose()
    }
  },
}

function selector(text: string): DeviceSelector {
  if (text === "auto" || text === "host" || text === "cuda") return text
  const ordinal = /^cuda:(\d{1,4})$/.exec(text)?.[1]
  if (ordinal !== undefined) return `cuda:${Number(ordinal)}`
  throw new UsageError(`--device must be auto, host, cuda or cuda:N; got ${JSON.stringify(text)}.`)
}

function rounds(text: string | undefined): number {
  if (text === undefined) return DEFAULT_ROUNDS
  const value = /^\d+$/.test(text) ? Number(text) : 0
  if (value >= 1 && value <= MOST_ROUNDS) return value
  throw new UsageError(`--rounds must be an integer from 1 to ${MOST_ROUNDS}; got ${JSON.stringify(text)}.`)
}
