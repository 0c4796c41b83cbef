/**
 * The first script of every page. A game is started by it alone; the pages and the framework they are made
 * with are fetched beside that, and never stand before a session's first request.
 */
import './styles/tokens.css';
import './styles/base.css';
import { pageOf } from './pages';
import { setStage } from './play/stage';
import { parse } from './router';

const route = parse(new URL(location.href));
setStage(route);

const target = document.getElementById('app');
if (target) {
  const [{ mountShell }, page] = await Promise.all([import('./shell'), pageOf(route)]);
  mountShell(target, route, page);
}
