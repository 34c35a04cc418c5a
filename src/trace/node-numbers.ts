/**
 * The operations of the nodes of a launched graph, by the nodes' numbers. A driver counts nodes in the order of capture. Behind an
 * operation that has a graph inside, it may have counted other nodes, too, such as those inside. How many it skipped there is
 * known from the names of the kernels that follow.
 */
export interface NumberedOperation {
  readonly label: string
  readonly isLaunch: boolean
  /** Its numbers, if none were skipped: from this one to before `until`. */
  readonly from: number
  readonly until: number
  readonly hasGraph: boolean
}

/**
 * For each number, the index of its operation. Has no operations of which it is not known how many numbers were skipped.
 *
 * @param names the name of the node with each number
 */
export function operationsByNumber(
  operations: readonly NumberedOperation[],
  names: ReadonlyMap<number, string>,
): Map<number, number> {
  const found = new Map<number, number>()
  let skipped = 0
  for (let first = 0; first < operations.length;) {
    const end = endOfPart(operations, first)
    const part = operations.slice(first, end)
    const shift = first === 0 ? 0 : shiftOf(part, names, skipped)
    if (shift !== undefined) {
      skipped = shift
      part.forEach(({ from, until }, index) => {
        for (let number = from + shift; number < until + shift; number++) found.set(number, first + index)
      })
    }
    first = end
  }
  return found
}

/** Where the operations end behind which numbers may be skipped next. */
function endOfPart(operations: readonly NumberedOperation[], first: number): number {
  const last = operations.findIndex(({ hasGraph }, index) => index >= first && hasGraph)
  return last < 0 ? operations.length : last + 1
}

/** How many numbers were skipped, at least so many; undefined if no kernel's name says so, or if several answers are as good. */
function shiftOf(
  part: readonly NumberedOperation[],
  names: ReadonlyMap<number, string>,
  least: number,
): number | undefined {
  const launches = part.filter(({ isLaunch }) => isLaunch)
  const last = Math.max(...names.keys())
  let most = 0
  let best: number | undefined
  for (let shift = least; shift <= last; shift++) {
    const alike = alikeAt(shift, launches, names)
    if (alike === 0 || alike < most) continue
    best = alike > most ? shift : undefined
    most = alike
  }
  return best
}

/** How many launches have a kernel of their name if so many numbers were skipped; 0 if one has a kernel of another name. */
function alikeAt(shift: number, launches: readonly NumberedOperation[], names: ReadonlyMap<number, string>): number {
  let alike = 0
  for (const { until, label } of launches) {
    const name = names.get(until - 1 + shift)
    if (name === undefined) continue
    if (name !== label) return 0
    alike++
  }
  return alike
}
