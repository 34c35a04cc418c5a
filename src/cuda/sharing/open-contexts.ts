/** The contexts of this thread's open devices. A device that is being closed is still among them. */
import type { CudaContext } from "../api/context.js"
import { ledger } from "../ledger/ledger.js"
import { isIdle } from "./neighbours.js"

export const openContexts = new Set<CudaContext>()

/**
 * Whether nothing of this library runs on any device, and no other thread can queue anything. Must be called under the ledger's
 * lock.
 */
export function isEverythingIdle(): boolean {
  if (ledger().areOthersOpen()) return false
  return [...openContexts].every((context) =>
    ledger()
      .records(context.handle)
      .every((record) => isIdle(context, record)),
  )
}
