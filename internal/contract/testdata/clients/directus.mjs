// Drives the official Directus SDK in json mode, as an application would.
// Usage: node directus.mjs BASE_URL EMAIL PASSWORD
import { authentication, createDirectus, readMe, rest } from '@directus/sdk';

const [url, email, password] = process.argv.slice(2);
const check = (what, ok) => {
	if (!ok) throw new Error(`failed: ${what}`);
	console.log(`ok ${what}`);
};

const client = createDirectus(url).with(authentication('json', { autoRefresh: false })).with(rest());

const first = await client.login({ email, password });
check('login answers tokens', first.access_token.split('.').length === 3 && first.refresh_token.split('.').length === 3);
check('expires is milliseconds', first.expires > 60_000 && first.expires <= 86_400_000);
check('the SDK keeps the token', (await client.getToken()) === first.access_token);

const me = await client.request(readMe({ fields: ['id', 'email'] }));
check('users/me', me.email === email || typeof me.id === 'string');

const second = await client.refresh();
check('refresh', second.access_token.split('.').length === 3 && second.refresh_token.split('.').length === 3);
check('users/me after the refresh', (await client.request(readMe())).id === me.id);

await client.logout();
check('logout forgets the token', (await client.getToken().catch(() => null)) === null);

try {
	await createDirectus(url).with(authentication('json')).login({ email, password: 'certainly wrong' });
	check('a wrong password is refused', false);
} catch (err) {
	check('a wrong password is refused', err.errors?.[0]?.extensions?.code === 'INVALID_CREDENTIALS');
}
try {
	await createDirectus(url).with(rest()).request(readMe());
	check('a stranger is refused', false);
} catch (err) {
	check('a stranger is refused', err.errors?.[0]?.extensions?.code === 'FORBIDDEN' && err.response.status === 403);
}
