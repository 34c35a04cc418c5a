import type { Driver } from "../../src/driver/driver.js"

type Part = "streams" | "events" | "memory" | "kernels" | "graphs"
const parts: ReadonlySet<string | symbol> = new Set<Part>(["streams", "events", "memory", "kernels", "graphs"])

/** A method of the driver: `"events.record"`, `"close"`. */
export type DriverMethod =
  | { [P in Part]: `${P}.${Extract<keyof Driver[P], string>}` }[Part]
  | Extract<keyof Driver, "prepare" | "close">

/**
 * A driver that passes each of its calls to `around`, with the method's name, its arguments, and a function that makes
 * the call.
 */
export function proxied(
  driver: Driver,
  around: (name: DriverMethod, args: readonly unknown[], call: () => unknown) => unknown,
): Driver {
  const wrap = <T extends object>(target: T, prefix: string): T =>
    new Proxy(target, {
      get(_, name) {
        const member: unknown = Reflect.get(target, name)
        if (parts.has(name)) return proxies.get(name)
        if (typeof member !== "function" || typeof name !== "string") return member
        return (...args: unknown[]): unknown =>
          around(`${prefix}${name}` as DriverMethod, args, () => Reflect.apply(member, target, args))
      },
    })
  const proxies = new Map<string | symbol, object>()
  for (const part of ["streams", "events", "memory", "kernels", "graphs"] as const) {
    proxies.set(part, wrap(driver[part], `${part}.`))
  }
  return wrap(driver, "")
}
