/**
 * How a stream's state finds its public `Stream` without keeping it alive. The engine keeps the target of each new WeakRef
 * until the code returns to the event loop, so a WeakRef for each stream would keep all streams of a long loop. The target is a
 * small link instead, which the next stream uses once this one has been disposed of.
 */

/** Only its owner keeps it. */
class Link {
  owner: object | undefined
  readonly ref: OwnerRef = new OwnerRef(this)
}

const links = new WeakMap<object, Link>()
const spare: Link[] = []

/** A weak reference to the public object of a state. */
export class OwnerRef {
  readonly #link: WeakRef<Link>

  /** @internal */
  constructor(link: Link) {
    this.#link = new WeakRef(link)
  }

  /** A reference to an object. It must not be used after {@link release}. */
  static to(owner: object): OwnerRef {
    const link = spare.pop() ?? new Link()
    link.owner = owner
    links.set(owner, link)
    return link.ref
  }

  /** The object, unless it has been collected. */
  get owner(): object | undefined {
    return this.#link.deref()?.owner
  }

  /** The object is disposed of. It must not keep the link, which will refer to another one. */
  release(): void {
    const link = this.#link.deref()
    if (link?.owner === undefined) return
    links.delete(link.owner)
    link.owner = undefined
    spare.push(link)
  }
}
