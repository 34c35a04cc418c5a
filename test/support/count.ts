/** The number of calls of a class's method while a function runs. */
export async function countCalls<Name extends string>(
  prototype: Record<Name, (...args: never[]) => unknown>,
  name: Name,
  run: () => unknown,
): Promise<number> {
  const method = prototype[name]
  let count = 0
  prototype[name] = function (this: unknown, ...args: never[]): unknown {
    count += 1
    return Reflect.apply(method, this, args)
  }
  try {
    await run()
  } finally {
    prototype[name] = method
  }
  return count
}
