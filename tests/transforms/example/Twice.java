package example;

import java.util.Arrays;
import java.util.function.Function;
import org.apache.spark.api.java.function.FlatMapFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

/** What no step may do: the second record gives two rows. */
public class Twice implements Function<Dataset<Row>, Dataset<Row>> {
    @Override
    public Dataset<Row> apply(Dataset<Row> input) {
        FlatMapFunction<Row, Row> twice = row ->
            (row.<Long>getAs("_kafka_offset") == 1L ? Arrays.asList(row, row) : Arrays.asList(row)).iterator();
        return input.flatMap(twice, input.encoder());
    }
}
