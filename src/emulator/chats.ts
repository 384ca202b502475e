import { randomBytes } from 'node:crypto';
import { REASONING_EFFORTS } from '../contract/index.js';
import type { ApiSettings, Call, Holder } from './call.js';
import type { Model } from './catalogue.js';
import type { Idempotency } from './idempotency.js';
import { json, Refusal, type Reply } from './replies.js';
import type { ChatRecord, State } from './state.js';
import { bodyOf, invalid, isObject, promptFor } from './validate.js';

const FIELDS = new Set([
  'model',
  'message',
  'session_id',
  'attachments',
  'enable_web_search',
  'reasoning_effort',
  'client_request_id',
]);
const EFFORTS = new Set<unknown>(REASONING_EFFORTS);
/** So much of a message stands in its answer, so that the next step of a pipeline has something to go on with. */
const ECHO_LENGTH = 200;

interface ChatBody {
  readonly model: Model;
  readonly message: string;
  readonly sessionId: string | null;
  readonly attachments: readonly unknown[];
}

/** The Chat API without streaming: one message, one answer, in a session. */
export class Chats {
  readonly #state: State;
  readonly #settings: ApiSettings;
  readonly #idempotency: Idempotency;
  /** Sessions in which a call is being worked on. */
  readonly #busy = new Set<string>();

  constructor(state: State, settings: ApiSettings, idempotency: Idempotency) {
    this.#state = state;
    this.#settings = settings;
    this.#idempotency = idempotency;
  }

  async complete(call: Call, holder: Holder): Promise<Reply> {
    return this.#idempotency.once(call, holder, async () => {
      const body = validateChat(call.body.toString(), call.contentType);
      this.#checkSession(body, holder);
      this.#checkAttachments(body, holder);
      const { sessionId } = body;
      if (sessionId !== null) this.#busy.add(sessionId);
      try {
        await call.before();
        return { reply: json(200, this.#answer(body, call, holder)), taskId: null };
      } finally {
        if (sessionId !== null) this.#busy.delete(sessionId);
      }
    });
  }

  #checkSession({ model, sessionId }: ChatBody, { account }: Holder): void {
    if (sessionId === null) return;
    const { unknownSession, otherModelInSession, busySession } = this.#settings.switches;
    const first = this.#state.chats().find((chat) => chat.sessionId === sessionId && chat.account === account);
    if (first === undefined) {
      throw new Refusal(unknownSession === 'notFound' ? 'not_found' : 'chat_session_conflict', 'No such session.');
    }
    if (first.model !== model.id && otherModelInSession === 'conflict') {
      throw new Refusal('chat_session_conflict', `The session belongs to the model "${first.model}".`);
    }
    if (this.#busy.has(sessionId) && busySession === 'conflict') {
      throw new Refusal('chat_session_conflict', 'The session is answering another message.');
    }
  }

  #checkAttachments({ model, attachments }: ChatBody, { account }: Holder): void {
    const unsupported = (message: string): Refusal => new Refusal('chat_attachment_not_supported', message);
    if (attachments.length > 0 && !model.inputs.includes('file')) {
      throw unsupported(`The model "${model.id}" takes no attachments.`);
    }
    for (const [index, attachment] of attachments.entries()) {
      const place = `attachments[${index}]`;
      if (!isObject(attachment) || Object.keys(attachment).some((name) => name !== 'file_id')) {
        throw invalid(`The field "${place}" must be an object with "file_id" alone.`);
      }
      const id = attachment['file_id'];
      if (typeof id !== 'string' || !id.startsWith('file_')) {
        throw unsupported(`The field "${place}.file_id" must be the ID of an uploaded file.`);
      }
      const file = this.#state.file(id);
      const unknown = file === undefined || file.account !== account;
      if (unknown && this.#settings.switches.chatFiles === 'known') throw unsupported(`There is no file ${id}.`);
      if (!unknown && file.kind !== 'image') throw unsupported(`The file ${id} is no image.`);
    }
  }

  /** Reserves, answers, settles. The same message to the same model has the same answer. */
  #answer({ model, message, sessionId }: ChatBody, call: Call, { account }: Holder): object {
    const credits = this.#state.credits(account, call.now);
    if (credits < model.credits) throw new Refusal('insufficient_credits');
    const random = (prefix: string): string => `${prefix}_${randomBytes(10).toString('hex')}`;
    // A fault that stands in the message belongs to this call, and not to what is made of its answer.
    const plain = message.replaceAll(/\[\[[^\]]*\]\]/g, '').trim();
    const content = `Simulated answer: ${[...plain].slice(0, ECHO_LENGTH).join('')}`;
    const chat: ChatRecord = {
      id: random('chatcmpl'),
      account,
      model: model.id,
      sessionId: sessionId ?? random('chatsess'),
      message,
      key: call.idempotencyKey,
      reserved: model.credits,
      // Settled from tokens: less than what was reserved, as in the example of the page.
      final: Math.max(1, model.credits - 1),
      createdAt: call.now,
    };
    this.#state.setCredits(account, credits - chat.final, call.now);
    this.#state.addChat(chat);
    call.created = true;
    const [input, output] = [message, content].map((text) => Math.ceil(text.length / 4)) as [number, number];
    return {
      id: chat.id,
      object: 'chat.completion',
      session_id: chat.sessionId,
      model: chat.model,
      created_at: new Date(chat.createdAt + this.#settings.switches.clockOffsetMs).toISOString(),
      message: { id: random('msg'), role: 'assistant', content },
      usage: { input_tokens: input, output_tokens: output, total_tokens: input + output },
      credits: { reserved: chat.reserved, final: chat.final },
    };
  }
}

/** @throws Refusal with the field that is wrong. */
function validateChat(text: string, contentType: string | undefined): ChatBody {
  const { model, ...body } = bodyOf(text, contentType, FIELDS);
  if (model?.category !== 'chat') throw new Refusal('chat_model_not_supported');
  const { session_id: sessionId = null, attachments = [], reasoning_effort: effort } = body;
  const message = promptFor(model, body['message'], 'message');
  if (sessionId !== null && typeof sessionId !== 'string') throw invalid('The field "session_id" must be a string.');
  if (!Array.isArray(attachments)) throw invalid('The field "attachments" must be an array.');
  if (!['boolean', 'undefined'].includes(typeof body['enable_web_search'])) {
    throw invalid('The field "enable_web_search" must be true or false.');
  }
  if (effort !== undefined && !EFFORTS.has(effort)) throw invalid('The field "reasoning_effort" has no such value.');
  return { model, message, sessionId, attachments };
}
