/**
 * A web server whose requests run side by side on one device: `node build/examples/server/main.js [port]`.
 *
 *     curl localhost:8080 -d '{ "numbers": [1, 2, 3], "rounds": 1000 }'
 *
 * A request that fails and one whose client goes away harm no other; SIGTERM lets those under way finish. docs/servers.md
 * says why it is written so.
 */

import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { AuxstreamError, DeviceLostError, KernelError, openDevice } from "auxstream"
import { answer, prepare, type Question } from "./work.js"

const device = openDevice()
await prepare(device)

const server = createServer((request, response) => void serve(request, response))

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  try {
    if (request.method === "GET") return reply(response, 200, { used: device.memory.used })
    const numbers = await answer(device, await questionOf(request, gone.signal))
    reply(response, 200, [...numbers])
  } catch (error) {
    if (gone.signal.aborted) return // Nobody is there to hear of it.
    reply(response, statusOf(error), { error: error instanceof Error ? error.message : String(error) })
    if (error instanceof DeviceLostError) await stop(1) // Nothing works any more: let whoever started this start it again.
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

/** Which failures are the request's own, which are the server's. */
function statusOf(error: unknown): number {
  if (error instanceof KernelError || error instanceof SyntaxError || error instanceof TypeError) return 400
  if (error instanceof DeviceLostError) return 503
  if (error instanceof AuxstreamError && error.code === "AUX_OUT_OF_MEMORY") return 503
  return 500
}

async function questionOf(request: IncomingMessage, signal: AbortSignal): Promise<Question> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  const body: unknown = JSON.parse(Buffer.concat(pieces).toString())
  if (typeof body !== "object" || body === null || !("numbers" in body) || !Array.isArray(body.numbers)) {
    throw new TypeError('a request is { "numbers": [1, 2, 3], "rounds": 1000 }')
  }
  const rounds = "rounds" in body ? Number(body.rounds) : 1000
  return {
    numbers: Float32Array.from(body.numbers, (number) => (number === null ? NaN : Number(number))),
    rounds,
    signal,
  }
}

/** Takes no more requests, finishes those under way, and closes the device. Then nothing keeps the process. */
async function stop(exitCode: number): Promise<void> {
  process.exitCode = exitCode
  const closed = once(server, "close")
  server.close()
  server.closeIdleConnections()
  await closed
  device.dispose()
}

process.once("SIGTERM", () => void stop(0))

server.listen(Number(process.argv[2] ?? 8080), () => {
  console.log(`Listening on port ${(server.address() as AddressInfo).port}, on ${device.id}.`)
})
