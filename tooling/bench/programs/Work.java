import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What Java programs do, from the start of the virtual machine and the compilation of this file on. */
public class Work {
  public static void main(String[] arguments) {
    Map<String, Integer> counts = new HashMap<>();
    List<Integer> list = new ArrayList<>();
    for (int i = 0; i < 100_000; i++) {
      counts.merge("word" + i * 7919L % 1000, 1, Integer::sum);
      list.add((int) (i * 7919L % 10007));
    }
    list.sort(null);
    long sum = 0;
    for (int i = 0; i < list.size(); i++) sum += (long) list.get(i) * i;
    System.out.println(counts.size() + " " + sum);
  }
}
