/** The plans of one device, found by the product's sizes and kind. It must never hold more than {@link MOST_PLANS}. */
import type { MatrixProduct } from "../../driver/products.js"
import { kindOf, type Plan } from "./plan.js"

/** Then the least recently used plan makes room for a new one. */
export const MOST_PLANS = 1024
/** A power of two. */
const PLACES = 2048

/** See the head of this file. */
export class PlanCache {
  /** Plans whose products have the same hash are chained. */
  readonly #places: (Plan | undefined)[] = Array.from({ length: PLACES }, () => undefined)
  #count = 0
  #uses = 0

  /** The plan for a product; undefined if there is none. */
  find(product: MatrixProduct): Plan | undefined {
    const kind = kindOf(product)
    let plan = this.#places[placeOf(product, kind)]
    while (plan !== undefined && !plan.fits(product.layout, kind)) plan = plan.next
    if (plan !== undefined) plan.lastUse = ++this.#uses
    return plan
  }

  /** Keeps a new plan. */
  add(plan: Plan, product: MatrixProduct): void {
    if (this.#count === MOST_PLANS) this.#dropOldest()
    const place = placeOf(product, plan.kind)
    plan.next = this.#places[place]
    plan.lastUse = ++this.#uses
    this.#places[place] = plan
    this.#count += 1
  }

  #dropOldest(): void {
    let oldest: Plan | undefined
    let place = 0
    for (let at = 0; at < PLACES; at++) {
      for (let plan = this.#places[at]; plan !== undefined; plan = plan.next) {
        if (oldest !== undefined && oldest.lastUse <= plan.lastUse) continue
        oldest = plan
        place = at
      }
    }
    if (oldest === undefined) return
    this.#unlink(oldest, place)
    oldest.free()
  }

  #unlink(plan: Plan, place: number): void {
    const first = this.#places[place]
    if (first === plan) this.#places[place] = plan.next
    for (let before = first; before !== undefined; before = before.next) {
      if (before.next === plan) before.next = plan.next
    }
    this.#count -= 1
  }

  /** Frees all plans. */
  clear(): void {
    for (let place = 0; place < PLACES; place++) {
      for (let plan = this.#places[place]; plan !== undefined; plan = plan.next) plan.free()
      this.#places[place] = undefined
    }
    this.#count = 0
  }
}

/** Strides and row lengths follow from the sizes in most programs, and are only compared. */
function placeOf({ layout: { m, n, k } }: MatrixProduct, kind: number): number {
  const hash =
    Math.imul(m, 0x9e3779b1) ^ Math.imul(n, 0x85ebca6b) ^ Math.imul(k, 0xc2b2ae35) ^ Math.imul(kind, 0x27d4eb2f)
  return (hash ^ (hash >>> 15)) & (PLACES - 1)
}
