// Says hello until somebody answers. The first one may be sent before JupyterLab has a subshell for
// it, and then it waits behind all cells that are queued; a later one is answered beside them.

/** Milliseconds from one hello to the next while it is early: three seconds together. */
const QUICK = [250, 250, 500, 1000, 1000];
/** The next wait; each one after it is twice as long, up to the longest. */
const SLOW = 2000;
const SLOWEST = 30_000;

export class Greeting {
  #timer: ReturnType<typeof setTimeout> | null = null;
  #unanswered = 0;

  /** `say` sends one hello, and is told how many before it got no answer; false ends it. */
  constructor(private readonly say: (unanswered: number) => boolean) {}

  /** Begin, or begin again where the hellos have become rare; one that is due soon is left alone. */
  begin(): void {
    if (this.#timer !== null && !isLate(this.#unanswered)) return;
    this.end();
    this.#unanswered = 0;
    this.#say();
  }

  /** It was answered, or nobody is there to answer. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #say(): void {
    const late = this.#unanswered - QUICK.length;
    const wait = QUICK[this.#unanswered] ?? Math.min(SLOW * 2 ** late, SLOWEST);
    this.#timer = setTimeout(() => {
      this.#unanswered += 1;
      this.#say();
    }, wait);
    if (!this.say(this.#unanswered)) this.end();
  }
}

/** Whether so many hellos without an answer are three seconds of silence. */
export function isLate(unanswered: number): boolean {
  return unanswered >= QUICK.length;
}
