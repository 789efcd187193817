// The sequencer's HTTP API.
import { beBytes, toHex } from './bytes.js';
import { deploymentId } from './deployment.js';
import { messageId, messageToJSON } from './message.js';

/** An answer of the sequencer that is no success. */
export class GristmillError extends Error {
  /** @param {{status: number, code: string, field?: string, detail?: string, retryAfter?: number}} problem */
  constructor({ status, code, field, detail, retryAfter }) {
    super(`${code}${field ? ` (${field})` : ''}: ${detail ?? `HTTP status ${status}`}`);
    this.name = 'GristmillError';
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }

  /** Whether the same bytes may be accepted later. */
  get retryable() {
    return this.status === 429 || this.status === 408 || this.status >= 500;
  }
}

/**
 * An answer that says success and is not what was asked for: from something that
 * stands before the sequencer, or the wrong address. Asking again does not help.
 */
export class WrongAnswer extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = 'WrongAnswer';
  }
}

// Ends of a message. Only a reorganisation of the chain changes them.
const FINAL = new Set(['settled', 'refused']);

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/**
 * A client of one sequencer. Options: fetch, attempts (8), minDelay (200 ms),
 * maxDelay (10 s), pollInterval (1 s), timeout (30 s for one request). Requests are repeated
 * after 408, 429, 5xx and network errors: sending a message twice is harmless, its
 * bytes name it.
 */
export class Client {
  #base;
  #options;

  constructor(baseURL, options = {}) {
    this.#base = new URL(baseURL);
    if (!this.#base.pathname.endsWith('/')) this.#base.pathname += '/';
    this.#options = {
      fetch: globalThis.fetch, attempts: 8, minDelay: 200, maxDelay: 10_000,
      pollInterval: 1000, timeout: 30_000, ...options,
    };
  }

  /** {chainId, registry}, checked against the id that the sequencer states. */
  async deployment(signal) {
    const answer = await this.#request('v1/deployment', { signal });
    const deployment = { chainId: answer.chain_id, registry: answer.registry };
    if (toHex(beBytes(deploymentId(deployment), 32)) !== answer.deployment_id) {
      throw new Error('the sequencer states a deployment id that is not its deployment’s');
    }
    return deployment;
  }

  /** What the sequencer knows of a project: version, payload_limit, batch_size, max_wait, … */
  project(id, signal) {
    return this.#request(`v1/projects/${id}`, { signal });
  }

  /** The nonce after the highest that the sequencer has of the device, as BigInt. */
  async nextNonce(deviceId, project, signal) {
    const device = toHex(beBytes(deviceId, 32));
    const answer = await this.#request(`v1/devices/${device}/nonce?project=${project}`, { signal });
    if (!Number.isSafeInteger(answer.nonce)) throw new RangeError('nonce is above 2^53: keep count of it yourself');
    return answer.used ? BigInt(answer.nonce) + 1n : 1n;
  }

  /** Sends one message; answers {id, state, duplicate} once it is durable. */
  async send(message, signal) {
    const answer = await this.#request('v1/messages', { body: messageToJSON(message), signal });
    if (answer.id !== messageId(message)) throw new WrongAnswer(`the sequencer took ${answer.id}, another message`);
    return answer;
  }

  /**
   * Sends up to 256 messages together, in as many requests as their bytes take. The
   * results stand in their order: {id, state, duplicate} or {error}. Only messages
   * that may still be accepted are sent again. When the sequencer cannot be asked to
   * the end, those without an outcome have that error and the others keep theirs.
   */
  async sendBatch(messages, signal) {
    const results = new Array(messages.length);
    let open = messages.map((_, i) => i);
    for (let attempt = 1; open.length > 0; attempt++) {
      open = await this.#sendOpen(messages, results, open, signal);
      if (attempt >= this.#options.attempts) break;
      if (open.length > 0) await pause(this.#delay(attempt), signal);
    }
    return results;
  }

  // Sends the open messages once and gives those that are worth another try.
  async #sendOpen(messages, results, open, signal) {
    const again = [];
    for (let rest = open; rest.length > 0; ) {
      const { body, count } = packBatch(messages, rest);
      const part = rest.slice(0, count);
      try {
        const answer = await this.#request('v1/messages', { body, signal });
        if (answer.results?.length !== count) throw new WrongAnswer('the sequencer did not answer each message');
        part.forEach((i, at) => {
          results[i] = batchResult(messages[i], answer.results[at]);
        });
      } catch (error) {
        signal?.throwIfAborted();
        for (const i of rest) results[i] = { error };
        return []; // the request was repeated already
      }
      again.push(...part.filter((i) => results[i].error?.retryable));
      rest = rest.slice(count);
    }
    return again;
  }

  /** Where a message is: {id, state, task_id?, reason?, …}. */
  message(id, signal) {
    return this.#request(`v1/messages/${id}`, { signal });
  }

  /** Where a task is. */
  task(id, signal) {
    return this.#request(`v1/tasks/${id}`, { signal });
  }

  /**
   * Waits until a message is settled or refused; onChange sees every state on the
   * way. A reorganisation of the chain may take that end back: where it matters,
   * look again once the settlement is deep enough.
   */
  async follow(id, { signal, onChange } = {}) {
    for (let last; ; ) {
      const view = await this.message(id, signal);
      if (view.state !== last) onChange?.(view);
      if (FINAL.has(view.state)) return view;
      last = view.state;
      await pause(this.#options.pollInterval, signal);
    }
  }

  #delay(attempt, retryAfter) {
    const { minDelay, maxDelay } = this.#options;
    if (retryAfter !== undefined) return Math.min(retryAfter * 1000, maxDelay);
    return Math.min(minDelay * 2 ** (attempt - 1), maxDelay) * (0.5 + Math.random() / 2);
  }

  async #request(path, { body, signal } = {}) {
    for (let attempt = 1; ; attempt++) {
      let failure;
      try {
        return await this.#once(path, body, signal);
      } catch (err) {
        signal?.throwIfAborted();
        if (err instanceof WrongAnswer || (err instanceof GristmillError && !err.retryable)) throw err;
        failure = err;
      }
      if (attempt >= this.#options.attempts) throw failure;
      await pause(this.#delay(attempt, failure.retryAfter), signal);
    }
  }

  async #once(path, body, signal) {
    const limit = AbortSignal.timeout(this.#options.timeout);
    const init = { signal: signal ? AbortSignal.any([signal, limit]) : limit };
    if (body !== undefined) {
      Object.assign(init, { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    }
    const response = await this.#options.fetch(new URL(path, this.#base), init);
    if (!response.ok) throw await problemOf(response);
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new WrongAnswer(`the answer to ${path} is not JSON`, { cause });
    }
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return new GristmillError({
    status: response.status,
    code: problem.code ?? 'unavailable',
    field: problem.field,
    detail: problem.detail,
    retryAfter: Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined,
  });
}

// The most bytes of one request: below the 4 MiB that a sequencer takes unless
// its operator says otherwise.
const MAX_BODY = 3 << 20;

// The JSON forms of the first open messages, as many as fit in a request.
function packBatch(messages, open) {
  const body = [];
  let size = 2;
  for (const i of open) {
    const form = messageToJSON(messages[i]);
    size += JSON.stringify(form).length + 1;
    if (body.length > 0 && size > MAX_BODY) break;
    body.push(form);
  }
  return { body, count: body.length };
}

function batchResult(message, result) {
  if (result.status >= 300) return { error: new GristmillError(result) };
  if (result.id !== messageId(message)) {
    return { error: new WrongAnswer(`the sequencer took ${result.id}, another message`) };
  }
  return { id: result.id, state: result.state, duplicate: result.duplicate ?? false };
}
