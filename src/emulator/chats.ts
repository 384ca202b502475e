import { z } from 'zod';
import { REASONING_EFFORTS } from '../contract/index.js';
import type { Call, Holder } from './call.js';
import { findModel, type Model } from './catalogue.js';
import type { Idempotency } from './idempotency.js';
import { newId } from './ids.js';
import { json, Refusal, type Reply } from './replies.js';
import type { State } from './state.js';
import type { LedgerChat } from './types.js';
import { bodyOf, checkLength, TEXT } from './validate.js';

const CHAT = z.strictObject({
  model: z.string(),
  message: TEXT,
  session_id: z.string().nullable().default(null),
  attachments: z.array(z.strictObject({ file_id: z.string() })).default([]),
  enable_web_search: z.boolean().optional(),
  reasoning_effort: z.enum(REASONING_EFFORTS).optional(),
  client_request_id: z.string().optional(),
});
/** Characters of a message that stand in its answer, so that the next step of a pipeline has something to go on with. */
const ECHO_LENGTH = 200;

type ChatBody = Omit<z.infer<typeof CHAT>, 'model'> & { readonly model: Model };

/** The Chat API without streaming: one message, one answer, in a session. */
export function openChats(state: State, idempotency: Idempotency) {
  /** Sessions with a call under way. */
  const busy = new Set<string>();

  function complete(call: Call, holder: Holder): Promise<Reply> {
    return idempotency.once(call, holder, async () => {
      const body = chatBodyOf(call);
      checkSession(body, holder);
      checkAttachments(body, holder);
      const { session_id: sessionId } = body;
      if (sessionId !== null) busy.add(sessionId);
      try {
        await call.before();
        return { reply: json(200, answer(body, call, holder)), taskId: null };
      } finally {
        if (sessionId !== null) busy.delete(sessionId);
      }
    });
  }

  function checkSession({ model, session_id: sessionId }: ChatBody, { account }: Holder): void {
    if (sessionId === null) return;
    const { unknownSession, otherModelInSession, busySession } = state.settings.switches;
    const first = [...state.chats.values()].find((chat) => chat.sessionId === sessionId && chat.account === account);
    if (first === undefined) {
      throw new Refusal(unknownSession === 'notFound' ? 'not_found' : 'chat_session_conflict', 'No such session.');
    }
    if (first.model !== model.id && otherModelInSession === 'conflict') {
      throw new Refusal('chat_session_conflict', `The session belongs to the model "${first.model}".`);
    }
    if (busy.has(sessionId) && busySession === 'conflict') {
      throw new Refusal('chat_session_conflict', 'The session is answering another message.');
    }
  }

  function checkAttachments({ model, attachments }: ChatBody, { account }: Holder): void {
    const unsupported = (message: string): Refusal => new Refusal('chat_attachment_not_supported', message);
    if (attachments.length > 0 && !model.inputs.includes('file')) {
      throw unsupported(`The model "${model.id}" takes no attachments.`);
    }
    for (const { file_id: id } of attachments) {
      if (!id.startsWith('file_')) throw unsupported('A "file_id" must be the ID of an uploaded file.');
      const file = state.files.get(id);
      const unknown = file === undefined || file.account !== account;
      if (unknown && state.settings.switches.chatFiles === 'known') throw unsupported(`There is no file ${id}.`);
      if (!unknown && file.kind !== 'image') throw unsupported(`The file ${id} is no image.`);
    }
  }

  /** Reserves, answers, settles. The same message to the same model has the same answer. */
  function answer({ model, message, session_id: sessionId }: ChatBody, call: Call, { account }: Holder): object {
    const credits = state.credits(account, call.now);
    if (credits < model.credits) throw new Refusal('insufficient_credits');
    // A fault that stands in the message is for this call, and not for what is made of its answer.
    const plain = message.replaceAll(/\[\[[^\]]*\]\]/g, '').trim();
    const content = `Simulated answer: ${[...plain].slice(0, ECHO_LENGTH).join('')}`;
    const chat: LedgerChat = {
      id: newId('chatcmpl'),
      account,
      model: model.id,
      sessionId: sessionId ?? newId('chatsess'),
      message,
      key: call.idempotencyKey,
      reserved: model.credits,
      // Settled from tokens: less than what was reserved, as in the example of the page.
      final: Math.max(1, model.credits - 1),
      createdAt: call.now,
    };
    state.setCredits(account, credits - chat.final, call.now);
    state.chats.set(chat.id, chat);
    call.created = true;
    const [input, output] = [message, content].map((text) => Math.ceil(text.length / 4)) as [number, number];
    return {
      id: chat.id,
      object: 'chat.completion',
      session_id: chat.sessionId,
      model: chat.model,
      created_at: new Date(chat.createdAt + state.settings.switches.clockOffsetMs).toISOString(),
      message: { id: newId('msg'), role: 'assistant', content },
      usage: { input_tokens: input, output_tokens: output, total_tokens: input + output },
      credits: { reserved: chat.reserved, final: chat.final },
    };
  }

  return { complete };
}

/** The body of a chat. @throws Refusal naming the field that is wrong. */
function chatBodyOf(call: Call): ChatBody {
  const body = bodyOf(call, CHAT);
  const model = findModel(body.model);
  if (model?.category !== 'chat') throw new Refusal('chat_model_not_supported');
  checkLength(model, body.message, 'message');
  return { ...body, model };
}
