/**
 * A web server whose requests run side by side on one device: `node build/examples/server/main.js [port]`.
 *
 *     curl localhost:8080 -d '{ "numbers": [1, 2, 3], "rounds": 1000 }'
 *
 * Failing requests and disconnecting clients affect no other request. SIGTERM lets running requests finish. docs/servers.md
 * explains the design.
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
    if (gone.signal.aborted) return // The client has disconnected.
    reply(response, statusOf(error), { error: error instanceof Error ? error.message : String(error) })
    if (error instanceof DeviceLostError) await stop(1) // Nothing works any more: the supervisor must restart the process.
  }
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
}

/** Tells failures of the request from failures of the server. */
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
    throw new TypeError('the request must be like { "numbers": [1, 2, 3], "rounds": 1000 }')
  }
  const rounds = "rounds" in body ? Number(body.rounds) : 1000
  return {
    numbers: Float32Array.from(body.numbers, (number) => (number === null ? NaN : Number(number))),
    rounds,
    signal,
  }
}

/** Accepts no more requests, finishes running ones, and closes the device. Then nothing keeps the process alive. */
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
